//! Reductions. Their axes stay, at length 1.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::math::mul;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::{Cotangents, Step};
use crate::grad::ops::{Broadcast, ReduceGrad, ReduceKind};
use crate::grad::tape::Tape;

/// Of equal extrema, the first in index order takes all. The product is exact at zeros.
pub(super) fn reduce(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Reduce>()?.clone();
    let (input, cotangent) = (step.input(0), step.cotangent()?);
    let kind = match op.reducer {
        Reducer::Sum => {
            let shape = tape.shape(input)?;
            return Ok(tvec![Some(tape.emit(Broadcast { shape }, &[cotangent])?)]);
        }
        Reducer::MeanOfSquares => return mean_of_squares(tape, &op, input, cotangent),
        Reducer::Max => ReduceKind::Max,
        Reducer::Min => ReduceKind::Min,
        Reducer::Prod => ReduceKind::Prod,
        reducer => bail!("{reducer:?} has no derivative"),
    };
    let gradient = ReduceGrad { axes: op.axes, kind };
    Ok(tvec![Some(tape.emit(gradient, &[input, cotangent])?)])
}

pub(super) fn is_discrete(op: &dyn TypedOp) -> bool {
    op.downcast_ref::<Reduce>().is_some_and(|op| {
        matches!(op.reducer, Reducer::ArgMax(_) | Reducer::ArgMin(_) | Reducer::All | Reducer::Any)
    })
}

pub(super) fn is_continuous(op: &dyn TypedOp) -> bool {
    op.is::<Reduce>() && !is_discrete(op)
}

/// d mean(x^2) = 2 x / count.
fn mean_of_squares(
    tape: &mut Tape<'_>,
    op: &Reduce,
    input: OutletId,
    cotangent: OutletId,
) -> TractResult<Cotangents> {
    let shape = tape.shape(input)?;
    let count: usize = op.axes.iter().map(|&axis| shape[axis]).product();
    let factor = tape.scalar(2.0 / count as f64, cotangent)?;
    let scaled = tape.emit(mul(), &[cotangent, factor])?;
    Ok(tvec![Some(tape.emit(mul(), &[input, scaled])?)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::cast::cast;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, one_node, values};

    /// In f64, the mean of squares goes through its terms: tract's computes in f32.
    fn build(
        reducer: Reducer,
        axes: &[usize],
        shape: &[usize],
        dt: DatumType,
    ) -> TractResult<TypedModel> {
        let axes: TVec<usize> = axes.into();
        if dt == f32::datum_type() || reducer != Reducer::MeanOfSquares {
            return one_node(Reduce { axes, reducer }, dt, &[shape], &[]);
        }
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact(shape))?;
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let scale = tensor0(1.0 / count as f64).broadcast_into_rank(shape.len())?;
        let scale = model.add_const("scale", scale)?;
        let squares = model.wire_node("squares", mul(), &[x, x])?[0];
        let terms = model.wire_node("terms", mul(), &[squares, scale])?;
        let y = model.wire_node("y", Reduce { axes, reducer: Reducer::Sum }, &terms)?;
        model.select_output_outlets(&y)?;
        Ok(model)
    }

    fn gradient(reducer: Reducer, axes: &[usize], x: &Tensor) -> Vec<f64> {
        emitted_gradient(&|dt| build(reducer, axes, x.shape(), dt), std::slice::from_ref(x))
            .unwrap()
    }

    const REDUCERS: [Reducer; 5] =
        [Reducer::Sum, Reducer::Max, Reducer::Min, Reducer::Prod, Reducer::MeanOfSquares];

    fn check_all(axes: &[usize], shape: &[usize]) {
        let x = values(shape, -1.5, 1.5);
        for reducer in REDUCERS {
            check(|dt| build(reducer, axes, shape, dt), std::slice::from_ref(&x), EXACT);
        }
    }

    #[test]
    fn one_axis_several_and_all() {
        for axes in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
            check_all(axes, &[2, 3, 4]);
        }
    }

    #[test]
    fn axes_of_length_one() {
        check_all(&[0, 2], &[1, 3, 1]);
    }

    #[test]
    fn the_first_of_equal_extrema_takes_all() {
        let x = Tensor::from_shape(&[3, 2], &[1_f64, 5.0, 5.0, 5.0, 1.0, 2.0]).unwrap();
        let winners = |reducer, axes: &[usize]| -> Vec<usize> {
            let gradient = gradient(reducer, axes, &x);
            (0..6).filter(|&at| gradient[at] != 0.0).collect()
        };
        assert_eq!(winners(Reducer::Max, &[0, 1]), [1]);
        assert_eq!(winners(Reducer::Min, &[0, 1]), [0]);
        assert_eq!(winners(Reducer::Max, &[0]), [1, 2]);
        assert_eq!(winners(Reducer::Max, &[1]), [1, 2, 5]);
        assert_eq!(winners(Reducer::Min, &[0]), [0, 5]);
    }

    #[test]
    fn a_product_with_zeros() {
        let x = [2.0, 0.0, 3.0, 0.0, 0.0, 4.0, 0.5, -3.0, 4.0];
        let x = Tensor::from_shape(&[3, 3], &x).unwrap();
        check(|dt| build(Reducer::Prod, &[1], &[3, 3], dt), std::slice::from_ref(&x), EXACT);
        let gradient = gradient(Reducer::Prod, &[1], &x);
        assert!(gradient[1] != 0.0 && gradient[3..6] == [0.0; 3]);
    }

    #[test]
    fn a_reduction_to_an_index_stops_the_cotangent() {
        for reducer in [Reducer::ArgMax(false), Reducer::ArgMin(true)] {
            let build = |dt| {
                let op = Reduce { axes: tvec![1], reducer };
                let mut model = one_node(op, dt, &[&[2, 3]], &[])?;
                let index = model.output_outlets()?[0];
                let y = model.wire_node("float", cast(dt), &[index])?;
                model.select_output_outlets(&y)?;
                Ok(model)
            };
            check(build, &[values(&[2, 3], -1.0, 1.0)], EXACT);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_reduction(axes in prop::collection::vec((1..4_usize, any::<bool>()), 1..5)) {
            let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
            let reduced: Vec<usize> = (0..axes.len()).filter(|&at| axes[at].1).collect();
            prop_assume!(!reduced.is_empty());
            check_all(&reduced, &shape);
        }
    }
}
