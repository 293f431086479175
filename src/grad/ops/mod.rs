//! The few operators that the backward pass needs and tract lacks.

mod dilate;
mod fold;
mod lrn;
mod max_pool;
mod sum_pool;
mod windows;

pub(crate) use dilate::Dilate;
pub(crate) use fold::Fold;
pub(crate) use lrn::LrnGrad;
pub(crate) use max_pool::MaxPoolGrad;
pub(crate) use sum_pool::SumPoolGrad;
