//! What is done with sums before they are written: operators that would take a pass of their own.

use pulp::Simd;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::math::{Add, Max, Min};

/// What is added to the sums of each row, and the ends that they are held between.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) bias: Arc<Vec<f32>>,
    pub(super) clamp: Clamp,
}

/// What is below the floor becomes it, what is above the ceiling that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Clamp {
    floor: Option<f32>,
    ceiling: Option<f32>,
}

impl Ending {
    pub(super) fn new(bias: Vec<f32>) -> Self {
        Self { bias: bias.into(), clamp: Clamp::default() }
    }

    /// The same with an operator on the result, of this shape, and a constant behind it; if that can be. `trail` values beside
    /// each other belong to a row.
    pub(super) fn then(
        &self,
        op: &TypedBinOp,
        konst: &Tensor,
        (shape, trail): (&[usize], usize),
    ) -> TractResult<Option<Self>> {
        let is_open = self.clamp == Clamp::default() && self.bias.iter().all(|bias| *bias == 0.0);
        if op.0.is::<Add>() {
            let bias = is_open.then(|| per_row(konst, shape, (self.bias.len(), trail)));
            return Ok(bias.transpose()?.flatten().map(Self::new));
        }
        let Some(end) = konst.as_uniform() else { return Ok(None) };
        let end = end.cast_to_scalar::<f32>()?;
        let Clamp { floor, ceiling } = self.clamp;
        let clamp = if op.0.is::<Max>() && floor.is_none() && ceiling.is_none_or(|top| end <= top) {
            Clamp { floor: Some(end), ceiling }
        } else if op.0.is::<Min>() && ceiling.is_none() && floor.is_none_or(|low| low <= end) {
            Clamp { floor, ceiling: Some(end) }
        } else {
            return Ok(None);
        };
        Ok(Some(Self { bias: Arc::clone(&self.bias), clamp }))
    }
}

impl Clamp {
    // Without closures: what calls vector operations must be inlined.
    #[inline(always)]
    pub(super) fn all<S: Simd>(self, simd: S, values: &mut [S::f32s]) {
        if let Some(floor) = self.floor {
            let floor = simd.splat_f32s(floor);
            for value in &mut *values {
                *value = simd.max_f32s(floor, *value);
            }
        }
        if let Some(ceiling) = self.ceiling {
            let ceiling = simd.splat_f32s(ceiling);
            for value in values {
                *value = simd.min_f32s(ceiling, *value);
            }
        }
    }

    /// The ends, infinite where there are none.
    pub(super) fn ends(self) -> (f32, f32) {
        (self.floor.unwrap_or(f32::NEG_INFINITY), self.ceiling.unwrap_or(f32::INFINITY))
    }
}

/// A constant's value for each row of a result of this shape, if it has one: `trail` values beside each other belong to a row.
pub(super) fn per_row(
    konst: &Tensor,
    shape: &[usize],
    (rows, trail): (usize, usize),
) -> TractResult<Option<Vec<f32>>> {
    if konst.datum_type() != f32::datum_type() || konst.rank() != shape.len() {
        return Ok(None);
    }
    let mut below = 1;
    let mut fits = true;
    for (dim, own) in shape.iter().zip(konst.shape()).rev() {
        let is_of_rows = below >= trail && below * dim <= trail * rows;
        fits &= *own == if is_of_rows { *dim } else { 1 };
        below *= dim;
    }
    if !fits && konst.len() != 1 {
        return Ok(None);
    }
    let values = konst.try_as_plain_ram()?;
    Ok(Some(values.as_slice::<f32>()?.iter().copied().cycle().take(rows).collect()))
}

/// The rows that a constant has a value each for, beside a result of this shape, and how many values beside each other belong to
/// one: if a pass over the result with the constant's values row by row is what broadcasting would be.
pub(super) fn rows_of(konst: &Tensor, shape: &[usize]) -> Option<(usize, usize)> {
    let own = konst.shape();
    let last = own.iter().rposition(|dim| *dim > 1)?;
    let trail = shape.get(last + 1..)?.iter().product();
    Some((konst.len(), trail))
}
