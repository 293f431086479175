//! The few operators that the backward pass needs and tract lacks.

mod binary;
mod broadcast;
mod cell_grad;
mod dilate;
mod fold;
mod groups;
mod loss_head;
mod lrn;
mod max_pool;
mod reduce_grad;
mod scatter_add;
mod softmax_grad;
mod sum_pool;
mod unary;
mod unstack;
mod windows;

pub(crate) use binary::{BinaryGrad, Partial};
pub(crate) use broadcast::Broadcast;
pub(crate) use cell_grad::{GruCellGrad, LstmCellGrad};
pub(crate) use dilate::Dilate;
pub(crate) use fold::Fold;
pub(crate) use loss_head::{LossHead, Objective};
pub(crate) use lrn::LrnGrad;
pub(crate) use max_pool::MaxPoolGrad;
pub(crate) use reduce_grad::{ReduceGrad, ReduceKind};
pub(crate) use scatter_add::ScatterAdd;
pub(crate) use softmax_grad::SoftmaxGrad;
pub(crate) use sum_pool::SumPoolGrad;
pub(crate) use unary::{Slope, UnaryGrad};
pub(crate) use unstack::Unstack;
