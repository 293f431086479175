//! Memory of tensors that a plan's operators hand on to one another, within a run and from run to run: it is neither zeroed nor
//! given back to the system in between.

use std::cell::RefCell;
use std::collections::HashMap;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

/// What no operator needs any more. A plan's state holds it among its shared resources.
#[derive(Debug, Default)]
pub(crate) struct Pool(RefCell<HashMap<usize, Shelf>>);

/// Tensors of one length.
#[derive(Debug, Default)]
struct Shelf {
    free: Vec<Tensor>,
    /// Tensors in use, and the most that ever were: no more are kept, wherever they come from.
    used: usize,
    most: usize,
}

impl Pool {
    /// Before a run: nothing is in use.
    pub(crate) fn reset(&self) {
        self.0.borrow_mut().values_mut().for_each(|shelf| shelf.used = 0);
    }

    /// As if these had been handed back.
    #[cfg(test)]
    pub(crate) fn of(tensors: impl IntoIterator<Item = Tensor>) -> Self {
        let pool = Self::default();
        for tensor in tensors {
            let mut shelves = pool.0.borrow_mut();
            shelves.entry(tensor.len()).or_default().free.push(tensor);
        }
        pool
    }
}

/// A tensor for an operator that writes every one of its values: until then they are anything.
pub(crate) fn take(ctx: &EvalContext<'_>, shape: &[usize]) -> TractResult<Tensor> {
    let pool = ctx.shared.and_then(|shared| shared.get::<Pool>());
    let free = pool.and_then(|pool| {
        let mut shelves = pool.0.borrow_mut();
        let shelf = shelves.entry(shape.iter().product()).or_default();
        shelf.used += 1;
        shelf.most = shelf.most.max(shelf.used);
        shelf.free.pop()
    });
    free.map_or_else(|| Tensor::zero::<f32>(shape), |tensor| tensor.into_shape(shape))
}

/// Hands back what an operator was given and needs no more, unless somebody else does.
pub(crate) fn give(ctx: &EvalContext<'_>, value: TValue) {
    let pool = ctx.shared.and_then(|shared| shared.get::<Pool>());
    let Some(pool) = pool.filter(|_| value.is_exclusive()) else { return };
    let is_fit = value.datum_type() == f32::datum_type() && value.is_plain();
    let mut shelves = pool.0.borrow_mut();
    let Some(shelf) = shelves.get_mut(&value.len()).filter(|_| is_fit) else { return };
    shelf.used = shelf.used.saturating_sub(1);
    if shelf.used + shelf.free.len() < shelf.most {
        shelf.free.push(value.into_tensor());
    }
}
