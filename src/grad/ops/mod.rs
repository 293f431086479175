//! The few operators that the backward pass needs and tract lacks.

mod dilate;
mod loss_head;
mod max_pool;
mod scatter_add;
mod sum_pool;
mod windows;

pub(crate) use dilate::Dilate;
pub(crate) use loss_head::{LossHead, Objective};
pub(crate) use max_pool::MaxPoolGrad;
pub(crate) use scatter_add::ScatterAdd;
pub(crate) use sum_pool::SumPoolGrad;
