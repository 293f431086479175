//! The few operators that the backward pass needs and tract lacks.

mod loss_head;

pub(crate) use loss_head::{LossHead, Objective};
