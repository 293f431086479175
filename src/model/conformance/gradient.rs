//! The gradient that the reverse walk emits against central differences of the forward function.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::floats::FloatPrecisionTranslator;
use tract_onnx::tract_core::internal::translator::Translate;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::run::{Loaded, flat};
use crate::grad::{self, StraightThrough};
use crate::model::guard::guard;

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
            None => single.slope(index)?.map(|slope| (slope, &SINGLE)),
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

/// A generic direction: no two components equal, none zero.
fn weights_of(shape: &[usize], output: usize) -> Tensor {
    let len = shape.iter().product::<usize>();
    let offset = 0.6 + 0.37 * output as f64;
    let values: Vec<f32> =
        (0..len).map(|i| ((1.7 * i as f64 + offset).sin() + 0.2) as f32).collect();
    Tensor::from_shape(shape, &values).unwrap()
}

/// The forward function, around the case's inputs.
struct Function {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<Tensor>,
    slot: usize,
    scores: Vec<usize>,
    weights: Vec<Vec<f64>>,
    middle: Vec<Vec<f64>>,
    precision: &'static Precision,
}

/// What the narrowest float type on the way allows.
#[derive(PartialEq)]
struct Precision {
    kind: &'static str,
    /// The widest step, as a part of the input's size.
    width: f64,
    /// How close a gradient must come, as a part of the largest component and of itself.
    tolerance: f64,
    /// What these must at least be for errors to be parts of them.
    small: f64,
    /// How close the same function in f64 must come.
    agreement: f64,
}

const SINGLE: Precision =
    Precision { kind: "f32", width: 0.125, tolerance: 4e-3, small: 0.03, agreement: 1e-4 };
const DOUBLE: Precision =
    Precision { kind: "f64", width: 1e-3, tolerance: 3e-4, small: 0.01, agreement: 0.0 };

/// A step that f32 does not resolve and f64 does, as a part of the input's size.
const RESOLUTION: f64 = 1e-8;

impl Precision {
    fn of(model: &TypedModel) -> &'static Self {
        let facts = model.nodes().iter().flat_map(|node| &node.outputs).map(|output| &output.fact);
        let mut floats = facts.map(|fact| fact.datum_type).filter(DatumType::is_float);
        if floats.any(|dt| dt.size_of() <= 4) { &SINGLE } else { &DOUBLE }
    }
}

fn output_slot(model: &TypedModel, outlet: OutletId) -> TractResult<usize> {
    model.outputs.iter().position(|output| *output == outlet).context("a score is an output")
}

impl Function {
    fn plain(loaded: &Loaded, slot: usize, scores: &[OutletId]) -> TractResult<Self> {
        let outputs = scores.iter().map(|score| output_slot(&loaded.model, *score));
        let outputs = outputs.collect::<TractResult<_>>()?;
        Self::with(loaded.model.clone(), loaded.inputs.clone(), slot, outputs)
    }

    /// None where tract has no f64 kernel for a node, or one that gives something else.
    fn double(loaded: &Loaded, slot: usize, single: &Self) -> Option<Self> {
        let (dt, f64) = (loaded.inputs[slot].datum_type(), f64::datum_type());
        let make = || {
            let model = FloatPrecisionTranslator::new(dt, f64).translate_model(&loaded.model)?;
            let to =
                |input: &Tensor| if input.datum_type() == dt { f64 } else { input.datum_type() };
            let inputs =
                loaded.inputs.iter().map(|input| Ok(input.cast_to_dt(to(input))?.into_owned()));
            Self::with(model, inputs.collect::<TractResult<_>>()?, slot, single.scores.clone())
        };
        let double = guard(make).ok()?;
        let close = |(a, b): (&f64, &f64)| {
            a.total_cmp(b).is_eq() || (a - b).abs() <= single.precision.agreement * (1.0 + b.abs())
        };
        let mut pairs = double.middle.iter().flatten().zip(single.middle.iter().flatten());
        (double.precision == &DOUBLE && pairs.all(close)).then_some(double)
    }

    fn with(
        model: TypedModel,
        inputs: Vec<Tensor>,
        slot: usize,
        scores: Vec<usize>,
    ) -> TractResult<Self> {
        let precision = Precision::of(&model);
        let plan = model.into_runnable()?;
        let mut function =
            Self { plan, inputs, slot, scores, weights: vec![], middle: vec![], precision };
        function.middle = function.values(&function.inputs[slot])?;
        let plan = Arc::clone(&function.plan);
        function.weights = function
            .scores
            .iter()
            .enumerate()
            .map(|(index, &output)| {
                let fact = plan.model().output_fact(output)?;
                let shape: TVec<usize> = fact.shape.as_concrete().context("concrete")?.into();
                Ok(flat(&weights_of(&shape, index)))
            })
            .collect::<TractResult<_>>()?;
        Ok(function)
    }

    fn values(&self, at: &Tensor) -> TractResult<Vec<Vec<f64>>> {
        let mut inputs = self.inputs.clone();
        inputs[self.slot] = at.clone();
        let outputs =
            self.plan.run(inputs.into_iter().map(Tensor::into_tvalue).collect::<TVec<_>>())?;
        Ok(self.scores.iter().map(|&output| flat(&outputs[output])).collect())
    }

    /// <w, values at one coordinate moved - values here>, and how far it was really moved.
    fn rise(&self, index: usize, by: f64) -> TractResult<(f64, f64)> {
        let here = &self.inputs[self.slot];
        let mut at: Vec<f64> = flat(here);
        let from = at[index];
        at[index] += by;
        let moved = Tensor::from_shape(here.shape(), &at)?;
        let moved = moved.cast_to_dt(here.datum_type())?.into_owned();
        let values = self.values(&moved)?;
        let pairs = values.iter().zip(&self.middle).zip(&self.weights);
        let rise = pairs
            .flat_map(|((above, here), w)| above.iter().zip(here).zip(w))
            // An infinite or undefined value that stays is no change.
            .map(|((above, here), w)| {
                let stays = above.total_cmp(here).is_eq() || (above.is_nan() && here.is_nan());
                if stays { 0.0 } else { (above - here) * w }
            })
            .sum();
        Ok((rise, flat(&moved)[index] - from))
    }

    /// The slopes along some coordinates. None at all where operators compute in f32 inside, whatever the graph's types:
    /// then narrow steps measure their rounding, and the narrowest do not move anything.
    fn resolved_slopes(&self, picked: &[usize], scale: f64) -> TractResult<Vec<Option<f64>>> {
        let mut slopes = vec![];
        for &index in picked {
            let slope = self.slope(index)?;
            if let Some(slope) = slope {
                let (narrow, _) = self.central(index, RESOLUTION * self.size(index))?;
                if (narrow - slope).abs() > 1e-3 * scale {
                    return Ok(vec![None; picked.len()]);
                }
            }
            slopes.push(slope);
        }
        Ok(slopes)
    }

    fn size(&self, index: usize) -> f64 {
        flat(&self.inputs[self.slot])[index].abs().max(0.1)
    }

    /// The slope between the ends of an interval, and by how much those of its halves differ.
    fn central(&self, index: usize, width: f64) -> TractResult<(f64, f64)> {
        let (up, right) = self.rise(index, width)?;
        let (down, left) = self.rise(index, -width)?;
        Ok(((up - down) / (right - left), up / right - down / left))
    }

    /// The slope along one coordinate: none where the one-sided slopes do not meet, or no two widths agree.
    fn slope(&self, index: usize) -> TractResult<Option<f64>> {
        let (mut slopes, mut best) = (vec![], None::<(f64, f64)>);
        for halving in 0..8 {
            let width = self.precision.width * self.size(index) * 0.5_f64.powi(halving);
            match guard(|| self.central(index, width)) {
                Ok(central) => slopes.push(central),
                // Wide steps can leave the domain: tract panics at indices out of range.
                Err(_) => slopes.clear(),
            }
            let [.., wide, middle, narrow] = &*slopes else { continue };
            let refine = |wide: f64, narrow: f64| (4.0 * narrow - wide) / 3.0;
            let (before, slope) = (refine(wide.0, middle.0), refine(middle.0, narrow.0));
            // Curvature makes the sides differ in proportion to the width; a kink leaves a jump at width zero.
            let jump = 2.0 * narrow.1 - middle.1;
            let tolerance = 0.5 * self.precision.tolerance * (self.precision.small + slope.abs());
            let error = (slope - before).abs();
            if error <= tolerance
                && jump.abs() <= 8.0 * tolerance
                && best.is_none_or(|(least, _)| error < least)
            {
                best = Some((error, slope));
                if error <= 0.02 * tolerance {
                    break;
                }
            }
        }
        Ok(best.map(|(_, slope)| slope))
    }
}
