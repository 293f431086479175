//! The few operators that the backward pass needs and tract lacks.

mod binary;
mod broadcast;
mod dilate;
mod fold;
mod grid_sample;
mod groups;
mod index_add;
mod indexing;
mod loss_head;
mod lrn;
mod max_pool;
mod reduce_grad;
mod resample;
mod scatter_add;
mod scatter_grad;
mod softmax_grad;
mod sum_pool;
mod unary;
mod windows;

pub(crate) use binary::{BinaryGrad, Partial};
pub(crate) use broadcast::Broadcast;
pub(crate) use dilate::Dilate;
pub(crate) use fold::Fold;
pub(crate) use grid_sample::{GridSampleGrad, SampledInput};
pub(crate) use index_add::IndexAdd;
pub(crate) use indexing::Indexing;
pub(crate) use loss_head::{LossHead, Objective};
pub(crate) use lrn::LrnGrad;
pub(crate) use max_pool::MaxPoolGrad;
pub(crate) use reduce_grad::{ReduceGrad, ReduceKind};
pub(crate) use resample::ResampleGrad;
pub(crate) use scatter_add::ScatterAdd;
pub(crate) use scatter_grad::{ScatterGrad, ScatterInput};
pub(crate) use softmax_grad::SoftmaxGrad;
pub(crate) use sum_pool::SumPoolGrad;
pub(crate) use unary::{Slope, UnaryGrad};
