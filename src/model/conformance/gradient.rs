//! The gradient that the reverse walk emits against central differences of the forward function.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::function::{DOUBLE, Function, Precision, weights_of};
use super::run::{Loaded, flat};
use crate::grad::{self, StraightThrough};

/// Components checked per input, spread evenly.
const COMPONENTS: usize = 24;

/// What came of one input.
#[derive(Debug)]
pub(super) enum Checked {
    /// So many components are right.
    Components(usize),
    /// A rule declares that it has none for such a node: its message.
    Limit(String),
}

/// Checks the gradient of <w, outputs> by the input at `slot`, for a fixed generic w: at the case's values, or near them
/// where these sit at kinks and jumps.
///
/// # Errors
/// When a component is wrong, or more than half cannot be checked in either place.
pub(super) fn check(loaded: &Loaded, slot: usize, scores: &[OutletId]) -> TractResult<Checked> {
    let mut tally = Tally::default();
    for loaded in [loaded, &nearby(loaded, slot)?] {
        let found = match emitted(loaded, slot, scores)? {
            Ok(found) => found,
            Err(limit) => return Ok(Checked::Limit(limit)),
        };
        tally = compare(loaded, slot, scores, &found)?;
        if 2 * tally.checked >= tally.tried {
            return Ok(Checked::Components(tally.checked));
        }
    }
    bail!("only {} of {} components can be checked", tally.checked, tally.tried)
}

/// The case at a generic point: no two components tie, none is an integer.
fn nearby(loaded: &Loaded, slot: usize) -> TractResult<Loaded> {
    let here = &loaded.inputs[slot];
    let values = flat(here).into_iter().enumerate();
    let values: Vec<f64> =
        values.map(|(i, x)| x + 0.1 + 0.3 * (0.618 * (i as f64 + 1.0)).fract()).collect();
    let there =
        Tensor::from_shape(here.shape(), &values)?.cast_to_dt(here.datum_type())?.into_owned();
    let mut inputs = loaded.inputs.clone();
    inputs[slot] = there;
    Ok(Loaded { model: loaded.model.clone(), inputs })
}

/// How many components were tried, and how many of them could be checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub tried: usize,
    pub checked: usize,
}

/// Compares a gradient to central differences. Components beside a kink, or where the differences do not settle, are
/// left out.
///
/// # Errors
/// When a component is wrong.
pub(super) fn compare(
    loaded: &Loaded,
    slot: usize,
    scores: &[OutletId],
    found: &[f64],
) -> TractResult<Tally> {
    let single = Function::plain(loaded, slot, scores)?;
    let double = Function::double(loaded, slot, &single);
    let here = flat(&loaded.inputs[slot]);
    let finite: Vec<usize> = (0..here.len()).filter(|&index| here[index].is_finite()).collect();
    let picked: Vec<usize> = match finite.len() {
        len if len <= COMPONENTS => finite,
        len => (0..COMPONENTS).map(|i| finite[(i * len + len / 2) / COMPONENTS]).collect(),
    };
    let largest =
        found.iter().filter(|g| g.is_finite()).fold(0.0, |largest: f64, g| largest.max(g.abs()));
    let slopes = match &double {
        Some(double) => double.resolved_slopes(&picked, largest.clamp(DOUBLE.small, 1e3))?,
        None => vec![None; picked.len()],
    };
    let mut tally = Tally { tried: picked.len(), checked: 0 };
    for (&index, slope) in picked.iter().zip(slopes) {
        let settled = match slope {
            Some(slope) => Some((slope, &DOUBLE)),
            None => single.slope(index)?.map(|slope| (slope, single.precision)),
        };
        let Some((expected, Precision { kind, tolerance, small, .. })) = settled else { continue };
        tally.checked += 1;
        ensure!(
            (found[index] - expected).abs()
                <= tolerance * largest.clamp(*small, 1e3).max(expected.abs()),
            "component {index} is {}, not {expected} ({kind})",
            found[index]
        );
    }
    Ok(tally)
}

/// The emitted gradient of <w, outputs>, decluttered and optimised as in production; or the rule's reason to give none.
pub(super) fn emitted(
    loaded: &Loaded,
    slot: usize,
    scores: &[OutletId],
) -> TractResult<Result<Vec<f64>, String>> {
    let mut model = loaded.model.clone();
    let input = model.inputs[slot];
    let (f32, mut cotangents) = (f32::datum_type(), vec![]);
    let mut total = None;
    for (index, &score) in scores.iter().enumerate() {
        let fact = model.outlet_fact(score)?.clone();
        let shape: TVec<usize> = fact.shape.as_concrete().context("concrete")?.into();
        let mut wire = score;
        if fact.datum_type != f32 {
            wire = model.wire_node(format!("score.{index}.f32"), cast(f32), &[wire])?[0];
        }
        // An input, not a constant, so that the backward nodes run as in production instead of being folded away.
        let weights = model.add_source(format!("cotangent.{index}"), f32.fact(&*shape))?;
        cotangents.push(weights_of(&shape, index));
        wire = model.wire_node(format!("score.{index}.w"), math::mul(), &[wire, weights])?[0];
        let axes: TVec<usize> = (0..shape.len()).collect();
        let sum = Reduce { axes, reducer: Reducer::Sum };
        wire = model.wire_node(format!("score.{index}.sum"), sum, &[wire])?[0];
        for axis in (0..shape.len()).rev() {
            wire = model.wire_node(format!("score.{index}.{axis}"), AxisOp::Rm(axis), &[wire])?[0];
        }
        total = Some(match total {
            None => wire,
            Some(sum) => {
                model.wire_node(format!("score.{index}.total"), math::add(), &[sum, wire])?[0]
            }
        });
    }
    let total = total.context("an output")?;
    model.select_output_outlets(&[total])?;
    let one = model.add_const("cotangent", tensor0(1f32))?;
    let gradient = match grad::backward(&mut model, total, one, input, &StraightThrough::default())
    {
        Ok(gradient) => gradient,
        Err(cause) => return Ok(Err(format!("{cause:#}"))),
    };
    model.select_output_outlets(&[gradient])?;
    let plan = model.into_decluttered()?.into_optimized()?.into_runnable()?;
    let inputs = loaded.inputs.iter().chain(&cotangents);
    let found = plan.run(inputs.map(|input| input.clone().into_tvalue()).collect())?.remove(0);
    ensure!(found.shape() == loaded.inputs[slot].shape(), "the gradient's shape");
    Ok(Ok(flat(&found)))
}
