//! Softmax, its logarithm, and normalisation by the root mean square or the standard deviation. All smooth.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::math::{add, mul, rsqrt, sub};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, RmsNorm, Softmax};

use super::{Cotangents, Step};
use crate::grad::ops::{LayerNormGrad, SoftmaxGrad};
use crate::grad::tape::Tape;
use crate::lowering::LayerNorm;

pub(super) fn softmax(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let op = step.op::<Softmax>()?;
    ensure!(op.quant_output_dt.is_none(), "a quantised softmax has no derivative");
    let gradient = SoftmaxGrad { axes: op.axes.clone(), kind: op.kind };
    Ok(tvec![Some(tape.emit(gradient, &[step.output(), step.cotangent()?])?)])
}

/// With r = 1 / sqrt(mean(x^2) + eps), the cotangent w of x r becomes r (w - x r^2 mean(w x)).
pub(super) fn rms_norm(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let RmsNorm { axis, eps } = step.op::<RmsNorm>()?.clone();
    let (x, cotangent) = (step.input(0), step.cotangent()?);
    let length = tape.shape(x)?[axis];
    let eps = tape.scalar(eps.cast_to_scalar::<f64>()?, x)?;
    let mean = reduce(tape, Reducer::MeanOfSquares, axis, x)?;
    let mean = tape.emit(add(), &[mean, eps])?;
    let scale = tape.emit(rsqrt(), &[mean])?;
    let normed = tape.emit(mul(), &[x, scale])?;
    let product = tape.emit(mul(), &[cotangent, normed])?;
    let dot = reduce(tape, Reducer::Sum, axis, product)?;
    let share = tape.scalar(1.0 / length as f64, x)?;
    let dot = tape.emit(mul(), &[dot, share])?;
    let along = tape.emit(mul(), &[normed, dot])?;
    let across = tape.emit(sub(), &[cotangent, along])?;
    Ok(tvec![Some(tape.emit(mul(), &[across, scale])?)])
}

pub(super) fn layer_norm(tape: &mut Tape<'_>, step: &Step<'_>) -> TractResult<Cotangents> {
    let with_scales = step.op::<LayerNorm>()?.with_scales();
    tape.extend(step.node.id, with_scales)?;
    let scales = OutletId::new(step.node.id, 1);
    let inputs = [step.output(), scales, step.cotangent()?];
    Ok(tvec![Some(tape.emit(LayerNormGrad, &inputs)?)])
}

fn reduce(
    tape: &mut Tape<'_>,
    reducer: Reducer,
    axis: usize,
    input: OutletId,
) -> TractResult<OutletId> {
    tape.emit(Reduce { axes: tvec![axis], reducer }, &[input])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tract_onnx::tract_core::ops::math::square;
    use tract_onnx::tract_core::ops::nn::SoftmaxKind;

    use super::*;
    use crate::grad::testing::{EXACT, check, emitted_gradient, one_node, values};

    const KINDS: [SoftmaxKind; 2] = [SoftmaxKind::Softmax, SoftmaxKind::LogSoftmax];

    fn check_softmax(axes: &[usize], shape: &[usize], spread: f64) {
        let x = values(shape, -spread, spread);
        for kind in KINDS {
            let op = Softmax { axes: axes.into(), quant_output_dt: None, kind };
            check(|dt| one_node(op.clone(), dt, &[shape], &[]), std::slice::from_ref(&x), EXACT);
        }
    }

    #[test]
    fn one_axis_and_several() {
        for axes in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
            check_softmax(axes, &[2, 3, 4], 2.0);
        }
    }

    #[test]
    fn confident_rows() {
        check_softmax(&[1], &[2, 5], 15.0);
    }

    #[test]
    fn a_saturated_row_stays_finite() {
        for kind in KINDS {
            let op = Softmax { axes: tvec![1], quant_output_dt: None, kind };
            let x = Tensor::from_shape(&[1, 3], &[200.0, -200.0, 0.0]).unwrap();
            let gradient =
                emitted_gradient(&|dt| one_node(op.clone(), dt, &[&[1, 3]], &[]), &[x]).unwrap();
            assert!(gradient.iter().all(|component| component.is_finite()));
        }
    }

    /// In f64, by its terms: tract's norm computes in f32.
    fn build_norm(
        axis: usize,
        eps: f64,
        shape: &[usize],
        dt: DatumType,
    ) -> TractResult<TypedModel> {
        if dt == f32::datum_type() {
            let eps = Arc::new(tensor0(eps as f32));
            return one_node(RmsNorm { axis, eps }, dt, &[shape], &[]);
        }
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact(shape))?;
        let constant = |value: f64| {
            tensor0(value).broadcast_into_rank(shape.len()).map(Tensor::into_arc_tensor)
        };
        let eps = model.add_const("eps", constant(eps)?)?;
        let share = model.add_const("share", constant(1.0 / shape[axis] as f64)?)?;
        let squares = model.wire_node("squares", mul(), &[x, x])?[0];
        let squares = model.wire_node("shares", mul(), &[squares, share])?;
        let sum = Reduce { axes: tvec![axis], reducer: Reducer::Sum };
        let mean = model.wire_node("mean", sum, &squares)?[0];
        let mean = model.wire_node("positive", add(), &[mean, eps])?;
        let scale = model.wire_node("scale", rsqrt(), &mean)?[0];
        let y = model.wire_node("y", mul(), &[x, scale])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    }

    #[test]
    fn norms() {
        for axis in 0..3 {
            for eps in [1e-5, 0.3] {
                let x = values(&[2, 3, 4], -1.0, 1.0);
                check(|dt| build_norm(axis, eps, &[2, 3, 4], dt), &[x], EXACT);
            }
        }
    }

    /// In f64, by its terms.
    fn build_layer_norm(eps: f64, shape: &[usize], dt: DatumType) -> TractResult<TypedModel> {
        let axis = shape.len() - 1;
        if dt == f32::datum_type() {
            return one_node(LayerNorm::new(eps as f32), dt, &[shape], &[]);
        }
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact(shape))?;
        let constant = |value: f64| {
            tensor0(value).broadcast_into_rank(shape.len()).map(Tensor::into_arc_tensor)
        };
        let eps = model.add_const("eps", constant(eps)?)?;
        let share = model.add_const("share", constant(1.0 / shape[axis] as f64)?)?;
        let reduce = Reduce { axes: tvec![axis], reducer: Reducer::Sum };
        let sum = model.wire_node("sum", reduce.clone(), &[x])?[0];
        let mean = model.wire_node("mean", mul(), &[sum, share])?[0];
        let centred = model.wire_node("centred", sub(), &[x, mean])?[0];
        let squares = model.wire_node("squares", mul(), &[centred, centred])?;
        let sum = model.wire_node("sum of squares", reduce, &squares)?[0];
        let variance = model.wire_node("variance", mul(), &[sum, share])?[0];
        let positive = model.wire_node("positive", add(), &[variance, eps])?;
        let scale = model.wire_node("scale", rsqrt(), &positive)?[0];
        let y = model.wire_node("y", mul(), &[centred, scale])?;
        model.select_output_outlets(&y)?;
        Ok(model)
    }

    #[test]
    fn layer_norms() {
        for shape in [&[2, 3, 4][..], &[3, 37], &[5]] {
            for eps in [1e-5, 0.3] {
                let x = values(shape, -1.0, 1.7);
                check(|dt| build_layer_norm(eps, shape, dt), &[x], EXACT);
            }
        }
    }

    #[test]
    fn a_norm_written_out_is_one_after_decluttering() {
        let x = values(&[2, 5], -1.0, 1.0);
        let build = |dt: DatumType| {
            let mut model = TypedModel::default();
            let x = model.add_source("x", dt.fact([2, 5]))?;
            let terms = [0.2, 1e-3].map(|value| tensor2(&[[value]]));
            let share = model.add_const("share", terms[0].cast_to_dt(dt)?.into_owned())?;
            let eps = model.add_const("eps", terms[1].cast_to_dt(dt)?.into_owned())?;
            let squares = model.wire_node("squares", square(), &[x])?;
            let sum = Reduce { axes: tvec![1], reducer: Reducer::Sum };
            let sum = model.wire_node("sum", sum, &squares)?[0];
            let mean = model.wire_node("mean", mul(), &[sum, share])?[0];
            let mean = model.wire_node("positive", add(), &[mean, eps])?;
            let scale = model.wire_node("scale", rsqrt(), &mean)?[0];
            let y = model.wire_node("y", mul(), &[x, scale])?;
            model.select_output_outlets(&y)?;
            Ok(model)
        };
        let model = build(f32::datum_type()).unwrap().into_decluttered().unwrap();
        assert!(model.nodes().iter().any(|node| node.op_is::<RmsNorm>()));
        check(build, &[x], EXACT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_softmax(axes in prop::collection::vec((1..4_usize, any::<bool>()), 1..5)) {
            let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
            let over: Vec<usize> = (0..axes.len()).filter(|&at| axes[at].1).collect();
            prop_assume!(!over.is_empty());
            check_softmax(&over, &shape, 3.0);
        }
    }
}
