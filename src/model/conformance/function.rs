//! The forward function of a case, and its slopes by central differences.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::floats::FloatPrecisionTranslator;
use tract_onnx::tract_core::internal::translator::Translate;
use tract_onnx::tract_core::internal::*;

use super::run::{Loaded, flat};
use crate::model::guard::guard;

/// The forward function, around the case's inputs.
#[derive(Debug)]
pub(super) struct Function {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<Tensor>,
    slot: usize,
    scores: Vec<usize>,
    weights: Vec<Vec<f64>>,
    middle: Vec<Vec<f64>>,
    pub precision: &'static Precision,
}

/// What the narrowest float type on the way allows.
#[derive(Debug, PartialEq)]
pub(super) struct Precision {
    pub kind: &'static str,
    /// The widest step, as a part of the input's size.
    width: f64,
    /// How close a gradient must come, as a part of the largest component and of itself.
    pub tolerance: f64,
    /// What these must at least be for errors to be parts of them.
    pub small: f64,
    /// How close the same function in f64 must come.
    agreement: f64,
}

const SINGLE: Precision =
    Precision { kind: "f32", width: 0.125, tolerance: 4e-3, small: 0.03, agreement: 1e-4 };
pub(super) const DOUBLE: Precision =
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
    pub(super) fn plain(loaded: &Loaded, slot: usize, scores: &[OutletId]) -> TractResult<Self> {
        let outputs = scores.iter().map(|score| output_slot(&loaded.model, *score));
        let outputs = outputs.collect::<TractResult<_>>()?;
        Self::with(loaded.model.clone(), loaded.inputs.clone(), slot, outputs)
    }

    /// None where tract has no f64 kernel for a node, or one that gives something else.
    pub(super) fn double(loaded: &Loaded, slot: usize, single: &Self) -> Option<Self> {
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
    pub(super) fn resolved_slopes(
        &self,
        picked: &[usize],
        scale: f64,
    ) -> TractResult<Vec<Option<f64>>> {
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
    pub(super) fn slope(&self, index: usize) -> TractResult<Option<f64>> {
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

/// A generic direction: no two components equal, none zero.
pub(super) fn weights_of(shape: &[usize], output: usize) -> Tensor {
    let len = shape.iter().product::<usize>();
    let offset = 0.6 + 0.37 * output as f64;
    let values: Vec<f32> =
        (0..len).map(|i| ((1.7 * i as f64 + offset).sin() + 0.2) as f32).collect();
    Tensor::from_shape(shape, &values).unwrap()
}
