//! Writing values or blocks by index. Indices take nothing.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{ScatterElements, ScatterNd, ScatterReduction};

use super::{Cotangents, Step};
use crate::grad::ops::{Indexing, ScatterGrad, ScatterInput};
use crate::grad::tape::Tape;

/// Exact where the function is differentiable. Of updates that replace, the last written counts; of equal minima or
/// maxima the data, then the first update.
pub(super) fn scatter_elements(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<ScatterElements>()?;
    let (indices, updates) = (tape.shape(step.input(1))?, tape.shape(step.input(2))?);
    ensure!(indices == updates, "indices of shape {indices:?}, updates of shape {updates:?}");
    scatter(tape, step, Indexing::Elements { axis: op.axis }, op.reduction)
}

/// As [`scatter_elements`], for blocks.
pub(super) fn scatter_nd(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let reduction = step.op::<ScatterNd>()?.reduction;
    scatter(tape, step, Indexing::Tuples { batch: 0 }, reduction)
}

fn scatter(
    tape: &mut Tape<'_>,
    step: &Step<'_>,
    indexing: Indexing,
    reduction: ScatterReduction,
) -> TractResult<Cotangents> {
    let inputs = [step.input(0), step.input(1), step.input(2), step.cotangent()?];
    let mut parents = tvec![None; 3];
    for (slot, input) in [(0, ScatterInput::Data), (2, ScatterInput::Updates)] {
        if step.wants[slot] {
            parents[slot] = Some(tape.emit(ScatterGrad { indexing, reduction, input }, &inputs)?);
        }
    }
    Ok(parents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::math::mul;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, values};

    const REDUCTIONS: [ScatterReduction; 5] = [
        ScatterReduction::None,
        ScatterReduction::Add,
        ScatterReduction::Mul,
        ScatterReduction::Min,
        ScatterReduction::Max,
    ];

    /// `op` over x, a constant and indices, where x is the data or the updates.
    fn scatter_of(
        op: Box<dyn TypedOp>,
        x: &[usize],
        other: &Tensor,
        indices: &Tensor,
        to_data: bool,
    ) -> impl Fn(DatumType) -> TractResult<TypedModel> {
        let (x, other, indices) = (x.to_vec(), other.clone(), indices.clone());
        move |dt| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact(&*x))?;
            let other = model.add_const("other", other.cast_to_dt(dt)?.into_owned())?;
            let indices = model.add_const("indices", indices.clone())?;
            let [data, updates] = if to_data { [x, other] } else { [other, x] };
            let y = model.wire_node("y", op.clone(), &[data, indices, updates])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        }
    }

    fn check_both(
        op: impl Into<Box<dyn TypedOp>>,
        data: &Tensor,
        indices: &Tensor,
        updates: &Tensor,
    ) {
        let op: Box<dyn TypedOp> = op.into();
        for (x, other, to_data) in [(data, updates, true), (updates, data, false)] {
            let build = scatter_of(op.clone(), x.shape(), other, indices, to_data);
            check(build, std::slice::from_ref(x), EXACT);
        }
    }

    fn check_elements(axis: usize, shape: &[usize], indices: &Tensor) {
        let (data, updates) = (values(shape, -1.0, 1.0), values(indices.shape(), -1.3, 1.2));
        for reduction in REDUCTIONS {
            check_both(ScatterElements { axis, reduction }, &data, indices, &updates);
        }
    }

    fn check_nd(shape: &[usize], indices: &Tensor) {
        let (width, count) = indices.shape().split_last().unwrap();
        let block = [count, &shape[*width..]].concat();
        let (data, updates) = (values(shape, -1.0, 1.0), values(&block, -1.3, 1.2));
        for reduction in REDUCTIONS {
            check_both(ScatterNd { reduction }, &data, indices, &updates);
        }
    }

    #[test]
    fn elements_written_once_twice_and_from_the_end() {
        check_elements(0, &[3, 4], &tensor2(&[[0_i64, -1, 0, 2], [1, 1, -3, -1]]));
        check_elements(1, &[2, 3], &tensor2(&[[0_i64, -1, 0, 2], [1, 1, -3, -2]]));
        check_elements(1, &[3, 4, 2], &tensor3(&[[[0_i64, 1], [0, 1]], [[3, 3], [-1, 2]]]));
    }

    #[test]
    fn blocks_written_once_and_twice() {
        let shape = [2, 3, 2];
        check_nd(&shape, &tensor2(&[[1_i64], [1]]));
        check_nd(&shape, &tensor2(&[[1_i64, 2], [0, 0], [1, 2]]));
        check_nd(&shape, &tensor2(&[[1_i64, 2, 1], [0, 0, 0], [1, 2, 1]]));
        check_nd(&shape, &tensor3(&[[[1_i64, 2], [0, 0]], [[1, 2], [1, 2]]]));
    }

    #[test]
    fn data_and_updates_from_the_same_tensor() {
        let indices = tensor2(&[[0_i64, 1], [0, 0]]);
        for reduction in REDUCTIONS {
            let build = |dt: DatumType| {
                let mut model = TypedModel::default();
                let x = model.add_source("x", dt.fact([2, 2]))?;
                let indices = model.add_const("indices", indices.clone())?;
                let half = tensor2(&[[0.5_f64]]).cast_to_dt(dt)?.into_owned();
                let half = model.add_const("half", half)?;
                let updates = model.wire_node("updates", mul(), &[x, half])?[0];
                let op = ScatterElements { axis: 0, reduction };
                let y = model.wire_node("y", op, &[x, indices, updates])?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            check(build, &[values(&[2, 2], -1.0, 1.0)], EXACT);
        }
    }

    #[test]
    fn products_with_zero_factors() {
        let indices = tensor1(&[0_i64, 0, 1, 2, 2, 2]);
        let op = ScatterElements { axis: 0, reduction: ScatterReduction::Mul };
        check_both(
            op,
            &tensor1(&[1.5_f64, 0.0, 2.0]),
            &indices,
            &tensor1(&[0.0_f64, 3.0, 2.0, 0.0, 0.0, 4.0]),
        );
    }

    #[test]
    fn of_equal_extremes_the_data_counts_then_the_first_update() {
        let indices = tensor1(&[0_i64, 0, 1, 1]);
        for (reduction, sign) in [(ScatterReduction::Max, 1.0), (ScatterReduction::Min, -1.0)] {
            let data = tensor1(&[2.0 * sign, 2.0 * sign, 2.0 * sign]);
            let updates = tensor1(&[2.0 * sign, 2.0 * sign, 3.0 * sign, 3.0 * sign]);
            let op: Box<dyn TypedOp> = ScatterElements { axis: 0, reduction }.into();
            let gradient = |x: &Tensor, other: &Tensor, to_data| {
                let build = scatter_of(op.clone(), x.shape(), other, &indices, to_data);
                let gradient = emitted_gradient(&build, std::slice::from_ref(x)).unwrap();
                (0..gradient.len()).filter(|&at| gradient[at] != 0.0).collect::<Vec<usize>>()
            };
            assert_eq!(gradient(&data, &updates, true), [0, 2]);
            assert_eq!(gradient(&updates, &data, false), [2]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn any_scatter_of_elements(
            axes in prop::collection::vec((1..4_usize, 1..4_usize), 1..4),
            axis in any::<prop::sample::Index>(),
            seed in 0..1000_i64,
        ) {
            let axis = axis.index(axes.len());
            let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
            let mut places: Vec<usize> = axes.iter().map(|axis| axis.1.min(axis.0)).collect();
            places[axis] = axes[axis].1;
            let len = shape[axis] as i64;
            let count = places.iter().product::<usize>() as i64;
            let indices: Vec<i64> = (0..count).map(|at| (at * 7 + seed) % (2 * len) - len).collect();
            check_elements(axis, &shape, &Tensor::from_shape(&places, &indices).unwrap());
        }

        #[test]
        fn any_scatter_of_blocks(
            shape in prop::collection::vec(1..4_usize, 1..4),
            width in any::<prop::sample::Index>(),
            count in 1..5_usize,
            seed in 0..1000_usize,
        ) {
            let width = 1 + width.index(shape.len());
            let indices: Vec<i64> = (0..count * width)
                .map(|at| ((at * 5 + at / width + seed) % shape[at % width]) as i64)
                .collect();
            check_nd(&shape, &Tensor::from_shape(&[count, width], &indices).unwrap());
        }
    }
}
