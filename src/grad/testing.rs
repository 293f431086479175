//! The rule tests' harness: emitted gradients in f32 against central differences in f64.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::straight_through::StraightThrough;
use super::walk::backward;

/// How close a gradient must come: |difference| <= `absolute` + `relative` * |expected|.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

/// For rules that are exact up to f32 rounding.
pub(super) const EXACT: Tolerance = Tolerance { absolute: 2e-5, relative: 2e-4 };

/// Checks d<w, y>/dx of the first input of the graph that `build` makes (one source per entry of `shapes`, one
/// output), at `values` (the inputs, in order), for a fixed generic cotangent w.
///
/// `build` is called with `f32` for the graph under test and with `f64` for the reference.
///
/// # Panics
/// When a component differs by more than `tolerance`.
pub(super) fn check(
    build: impl Fn(DatumType) -> TractResult<TypedModel>,
    values: &[Tensor],
    tolerance: Tolerance,
) {
    let plan = build(f64::datum_type()).and_then(|model| model.into_runnable()).unwrap();
    check_values(&build, values, tolerance, |values| {
        let y = plan.run(cast(values, f64::datum_type())?)?.remove(0);
        Ok(y.to_plain_array_view::<f64>()?.iter().copied().collect())
    });
}

/// As [`check`], for operators that tract does not run in f64: `function` gives y in f64, from the inputs' values.
pub(super) fn check_against(
    build: impl Fn(DatumType) -> TractResult<TypedModel>,
    values: &[Tensor],
    tolerance: Tolerance,
    function: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    check_values(&build, values, tolerance, |values| {
        let flat = |t: &Tensor| -> TractResult<Vec<f64>> {
            Ok(t.cast_to::<f64>()?.to_plain_array_view::<f64>()?.iter().copied().collect())
        };
        Ok(function(&values.iter().map(flat).collect::<TractResult<Vec<_>>>()?))
    });
}

fn check_values(
    build: &impl Fn(DatumType) -> TractResult<TypedModel>,
    values: &[Tensor],
    tolerance: Tolerance,
    function: impl Fn(&[Tensor]) -> TractResult<Vec<f64>>,
) {
    let emitted = emitted_gradient(build, values).unwrap();
    let reference = difference_gradient(function, values).unwrap();
    assert_eq!(emitted.len(), reference.len());
    for (index, (&found, &expected)) in emitted.iter().zip(&reference).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance.absolute + tolerance.relative * expected.abs(),
            "component {index}: emitted {found}, central difference {expected}\nemitted {emitted:?}\nreference {reference:?}",
        );
    }
}

/// The emitted gradient, and the cotangent w that it was made for.
pub(super) fn gradient_and_cotangent(
    build: &impl Fn(DatumType) -> TractResult<TypedModel>,
    values: &[Tensor],
) -> (Vec<f64>, Vec<f64>) {
    let model = build(f32::datum_type()).unwrap();
    let shape = model.output_fact(0).unwrap().shape.as_concrete().unwrap().to_vec();
    let weights = cotangent(&shape).to_plain_array_view::<f64>().unwrap().iter().copied().collect();
    (emitted_gradient(build, values).unwrap(), weights)
}

/// d<w, y>/dx of the first input, through the emitted graph, decluttered and optimised as in production.
pub(super) fn emitted_gradient(
    build: &impl Fn(DatumType) -> TractResult<TypedModel>,
    values: &[Tensor],
) -> TractResult<Vec<f64>> {
    gradient_through(build, values, &StraightThrough::default())
}

/// As [`emitted_gradient`], straight through what is selected.
pub(super) fn gradient_through(
    build: &impl Fn(DatumType) -> TractResult<TypedModel>,
    values: &[Tensor],
    through: &StraightThrough,
) -> TractResult<Vec<f64>> {
    let mut model = build(f32::datum_type())?.into_decluttered()?;
    let (input, output) = (model.input_outlets()?[0], model.output_outlets()?[0]);
    let shape = model.outlet_fact(output)?.shape.as_concrete().context("concrete")?.to_vec();
    // As an input, not a constant, so that the backward nodes run as in production instead of being folded away.
    let weights = model.add_source("cotangent", f32::fact(&*shape))?;
    let gradient = backward(&mut model, output, weights, input, through)?;
    model.select_output_outlets(&[gradient])?;
    let plan = model.into_decluttered()?.into_optimized()?.into_runnable()?;
    let mut inputs = cast(values, f32::datum_type())?;
    inputs.push(cotangent(&shape).cast_to::<f32>()?.into_owned().into_tvalue());
    let found = plan.run(inputs)?.remove(0);
    assert_eq!(found.shape(), values[0].shape(), "the gradient's shape");
    Ok(found.cast_to::<f64>()?.to_plain_array_view::<f64>()?.iter().copied().collect())
}

fn difference_gradient(
    function: impl Fn(&[Tensor]) -> TractResult<Vec<f64>>,
    values: &[Tensor],
) -> TractResult<Vec<f64>> {
    let objective = |values: &[Tensor]| -> TractResult<f64> {
        let y = function(values)?;
        let w = cotangent(&[y.len()]);
        Ok(y.iter().zip(w.to_plain_array_view::<f64>()?.iter()).map(|(y, w)| y * w).sum())
    };
    let mut values = values.to_vec();
    values[0] = values[0].cast_to::<f64>()?.into_owned();
    let mut gradient = vec![];
    for index in 0..values[0].len() {
        let at = values[0].to_plain_array_view::<f64>()?.as_slice().context("contiguous")?[index];
        let width = 1e-6 * at.abs().max(1.0);
        let mut side = |x: f64| {
            values[0].to_plain_array_view_mut::<f64>()?.as_slice_mut().context("contiguous")?
                [index] = x;
            objective(&values)
        };
        let slope = (side(at + width)? - side(at - width)?) / (2.0 * width);
        side(at)?;
        gradient.push(slope);
    }
    Ok(gradient)
}

/// A generic direction: no two components equal, none zero.
fn cotangent(shape: &[usize]) -> Tensor {
    let len = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..len).map(|i| (1.7 * i as f64 + 0.6).sin() + 0.2).collect();
    Tensor::from_shape(shape, &values).unwrap()
}

fn cast(values: &[Tensor], float: DatumType) -> TractResult<TVec<TValue>> {
    let cast = |t: &Tensor| {
        if t.datum_type().is_float() {
            Ok(t.cast_to_dt(float)?.into_owned())
        } else {
            Ok(t.clone())
        }
    };
    values.iter().map(|t| cast(t).map(Tensor::into_tvalue)).collect()
}

/// A model of one node: `op` over a float source per shape, plus constants appended after them.
pub(super) fn one_node(
    op: impl Into<Box<dyn TypedOp>>,
    dt: DatumType,
    shapes: &[&[usize]],
    constants: &[Tensor],
) -> TractResult<TypedModel> {
    let mut model = TypedModel::default();
    let mut inputs = tvec![];
    for (index, shape) in shapes.iter().enumerate() {
        inputs.push(model.add_source(format!("x{index}"), dt.fact(*shape))?);
    }
    for (index, constant) in constants.iter().enumerate() {
        let constant = if constant.datum_type().is_float() {
            constant.cast_to_dt(dt)?.into_owned()
        } else {
            constant.clone()
        };
        inputs.push(model.add_const(format!("c{index}"), constant)?);
    }
    let output = model.wire_node("y", op, &inputs)?;
    model.select_output_outlets(&output)?;
    Ok(model)
}

/// Generic values in [`low`, `high`], no two equal.
pub(crate) fn values(shape: &[usize], low: f64, high: f64) -> Tensor {
    let len = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..len)
        .map(|i| low + (high - low) * ((i as f64 + 1.0) * 0.618_033_988_749_895).fract())
        .collect();
    Tensor::from_shape(shape, &values).unwrap()
}
