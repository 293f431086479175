//! Reading values or blocks by index. Linear in the data, so exact; indices take nothing.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::array::{GatherElements, GatherNd, Topk};

use super::{Cotangents, Step};
use crate::grad::ops::{IndexAdd, Indexing};
use crate::grad::tape::Tape;

/// A value that is read more than once takes the sum.
pub(super) fn gather_elements(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let axis = step.op::<GatherElements>()?.axis;
    gather(tape, step, Indexing::Elements { axis })
}

/// A value that is read more than once takes the sum.
pub(super) fn gather_nd(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let batch = step.op::<GatherNd>()?.batch_dims;
    gather(tape, step, Indexing::Tuples { batch })
}

fn gather(tape: &mut Tape<'_>, step: &Step<'_>, indexing: Indexing) -> TractResult<Cotangents> {
    if !step.wants[0] {
        return Ok(tvec![None]);
    }
    let op = IndexAdd { indexing, shape: tape.shape(step.input(0))? };
    Ok(tvec![Some(tape.emit(op, &[step.cotangent()?, step.input(1)])?)])
}

/// Each value goes back to where it was; of equal values the first are chosen, in order. The index output is an
/// integer, so its cotangent is ignored.
pub(super) fn top_k(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let (Some(cotangent), true) = (step.cotangents[0], step.wants[0]) else {
        return Ok(tvec![None]);
    };
    let axis = step.op::<Topk>()?.axis;
    let shape = tape.shape(step.input(0))?;
    let places = OutletId::new(step.node.id, 1);
    let op = IndexAdd { indexing: Indexing::Elements { axis }, shape };
    Ok(tvec![Some(tape.emit(op, &[cotangent, places])?)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::internal::*;
    use tract_onnx::tract_core::ops::cast::cast;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, one_node, values};

    fn check_elements(axis: usize, shape: &[usize], indices: &Tensor) {
        let build =
            |dt| one_node(GatherElements { axis }, dt, &[shape], std::slice::from_ref(indices));
        check(build, &[values(shape, -1.0, 1.0)], EXACT);
    }

    fn check_nd(batch_dims: usize, shape: &[usize], indices: &Tensor) {
        let build =
            |dt| one_node(GatherNd { batch_dims }, dt, &[shape], std::slice::from_ref(indices));
        check(build, &[values(shape, -1.0, 1.0)], EXACT);
    }

    #[test]
    fn elements_read_twice_and_from_the_end() {
        let indices = tensor2(&[[0_i64, -1, 0, 2], [1, 1, -3, -2]]);
        check_elements(0, &[3, 4], &indices);
        check_elements(1, &[2, 3], &indices);
        check_elements(1, &[2, 3], &indices.cast_to::<i32>().unwrap());
    }

    #[test]
    fn fewer_indices_than_data_off_the_axis() {
        check_elements(0, &[3, 4], &tensor2(&[[0_i64, -1], [1, 1]]));
    }

    #[test]
    fn tuples_of_every_width() {
        let shape = [2, 3, 4];
        check_nd(0, &shape, &tensor2(&[[1_i64], [0], [1]]));
        check_nd(0, &shape, &tensor2(&[[1_i64, 2], [0, 0], [1, 2]]));
        check_nd(0, &shape, &tensor2(&[[1_i64, 2, 3], [0, 0, 0], [1, 2, 3]]));
        check_nd(0, &shape, &tensor2(&[[1_i64, 2]]));
        check_nd(0, &shape, &tensor1(&[1_i64, 2]));
    }

    #[test]
    fn tuples_with_batch_axes() {
        let shape = [2, 3, 4];
        check_nd(1, &shape, &tensor2(&[[1_i64], [2]]));
        check_nd(1, &shape, &tensor3(&[[[1_i64, 3], [1, 3]], [[2, 0], [0, 0]]]));
        check_nd(2, &shape, &tensor3(&[[[3_i64], [0], [1]], [[2], [2], [0]]]));
    }

    #[test]
    fn computed_indices_take_nothing() {
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact([3, 2]))?;
            let indices = model.wire_node("indices", cast(i64::datum_type()), &[x])?[0];
            let op = GatherElements { axis: 0 };
            let y = model.wire_node("y", op, &[x, indices])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        check(build, &[values(&[3, 2], 0.1, 2.9)], EXACT);
    }

    #[test]
    fn indices_alone_give_zeros() {
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact([3, 2]))?;
            let data =
                model.add_const("data", values(&[3, 2], -1.0, 1.0).cast_to_dt(dt)?.into_owned())?;
            let indices = model.wire_node("indices", cast(i64::datum_type()), &[x])?[0];
            let y = model.wire_node("y", GatherElements { axis: 0 }, &[data, indices])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        let gradient = emitted_gradient(&build, &[values(&[3, 2], 0.1, 2.9)]).unwrap();
        assert_eq!(gradient, [0.0; 6]);
    }

    fn top(
        axis: usize,
        largest: bool,
        k: usize,
        shape: &[usize],
    ) -> impl Fn(DatumType) -> TractResult<TypedModel> {
        move |dt| {
            let op = Topk { axis, largest, fallback_k: k.to_dim() };
            let mut model = one_node(op, dt, &[shape], &[tensor0(k as i64)])?;
            let value = model.output_outlets()?[0];
            model.select_output_outlets(&[value])?;
            Ok(model)
        }
    }

    #[test]
    fn the_largest_and_the_smallest() {
        let shape = [3, 4, 5];
        for axis in 0..3 {
            for largest in [true, false] {
                for k in [1, 2, shape[axis]] {
                    let x = values(&shape, -1.0, 1.0);
                    check(top(axis, largest, k, &shape), &[x], EXACT);
                }
            }
        }
    }

    #[test]
    fn of_equal_values_the_first_are_chosen() {
        let x = tensor1(&[1_f64, 3.0, 3.0, 0.0, 3.0, 0.0]);
        for (largest, k, chosen) in [(true, 2, [1, 2]), (false, 2, [3, 5])] {
            let gradient =
                emitted_gradient(&top(0, largest, k, &[6]), std::slice::from_ref(&x)).unwrap();
            let found: Vec<usize> = (0..6).filter(|&at| gradient[at] != 0.0).collect();
            assert_eq!(found, chosen);
        }
    }

    #[test]
    fn the_index_output_takes_nothing() {
        let build = |dt: DatumType| {
            let op = Topk { axis: 0, largest: true, fallback_k: 2.to_dim() };
            let mut model = one_node(op, dt, &[&[4]], &[tensor0(2_i64)])?;
            let index = OutletId::new(model.output_outlets()?[0].node, 1);
            let y = model.wire_node("float", cast(dt), &[index])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        assert_eq!(emitted_gradient(&build, &[values(&[4], -1.0, 1.0)]).unwrap(), [0.0; 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_gather_of_elements(
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
        fn any_gather_of_blocks(
            shape in prop::collection::vec(1..4_usize, 1..5),
            batch in any::<prop::sample::Index>(),
            width in any::<prop::sample::Index>(),
            count in 1..5_usize,
            seed in 0..1000_usize,
        ) {
            let batch = batch.index(shape.len());
            let width = 1 + width.index(shape.len() - batch);
            let mut places = shape[..batch].to_vec();
            places.extend([count, width]);
            let total: usize = places.iter().product();
            let indices: Vec<i64> = (0..total)
                .map(|at| ((at * 5 + at / width + seed) % shape[batch + at % width]) as i64)
                .collect();
            check_nd(batch, &shape, &Tensor::from_shape(&places, &indices).unwrap());
        }

        #[test]
        fn any_top_k(
            shape in prop::collection::vec(1..5_usize, 1..4),
            axis in any::<prop::sample::Index>(),
            k in any::<prop::sample::Index>(),
            largest in any::<bool>(),
        ) {
            let axis = axis.index(shape.len());
            let k = 1 + k.index(shape[axis]);
            check(top(axis, largest, k, &shape), &[values(&shape, -1.0, 1.0)], EXACT);
        }
    }
}
