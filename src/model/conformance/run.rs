//! One case: load, run forward, compare, differentiate, compare.

use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::ToDim;
use tract_onnx::tract_hir::infer::InferenceFact;

use super::cases::Case;
use super::gradient::{self, Checked};
use crate::error::{Error, Result};
use crate::grad::{self, StraightThrough};
use crate::model::faults::{Names, UNKNOWN};
use crate::model::guard::guard;
use crate::model::parsed;

/// How a case ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// tract takes no such graph; the first line of why.
    NotLoaded(String),
    /// This crate refuses the graph because tract would get it wrong.
    Refused(String),
    /// The forward result is not what ONNX expects.
    WrongResult(String),
    /// Operators between a float input and a float output have no gradient rule.
    NoRule(Vec<String>),
    /// A gradient is not that of the forward function, or cannot be checked.
    WrongGradient(String),
    /// Forward right; no float input has a float output to differentiate.
    ForwardOnly,
    /// Forward right, and so many components of the gradient; the limits that rules named for the other inputs.
    Passed { components: usize, limits: Vec<String> },
}

/// A loaded case.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Decluttered; its inputs are those that are no constants.
    pub model: TypedModel,
    /// The values of the inputs.
    pub inputs: Vec<Tensor>,
}

/// The outcome of a case, and its decluttered graph where it has one.
pub(super) fn run(case: &Case) -> (Outcome, Option<Loaded>) {
    let loaded = match load(case) {
        Err(outcome) => return (outcome, None),
        Ok(loaded) => loaded,
    };
    let mut outcome = check(case, &loaded);
    // Parameters such as a region have no gradient and, where they are free, leave the data without one.
    if let Outcome::Passed { components: 0, limits } = &outcome
        && loaded.inputs.len() > 1
    {
        outcome = match load_with(case, &float_inputs(case)[..1]) {
            Ok(data) => with_limits(check(case, &data), limits),
            Err(cause) => Outcome::WrongGradient(cause.one_line()),
        };
    }
    (outcome, Some(loaded))
}

fn with_limits(outcome: Outcome, more: &[String]) -> Outcome {
    match outcome {
        Outcome::Passed { components, limits } => {
            Outcome::Passed { components, limits: [limits.as_slice(), more].concat() }
        }
        outcome => outcome,
    }
}

fn check(case: &Case, loaded: &Loaded) -> Outcome {
    match forward(case, loaded) {
        Err(cause) => return Outcome::NotLoaded(format!("cannot be run: {cause}")),
        Ok(Err(problem)) => return Outcome::WrongResult(problem),
        Ok(Ok(())) => {}
    }
    let attacked: Vec<usize> =
        (0..loaded.inputs.len()).filter(|&slot| is_float(&loaded.inputs[slot])).collect();
    let scores = scores(&loaded.model);
    if attacked.is_empty() || scores.is_empty() {
        return Outcome::ForwardOnly;
    }
    let mut missing = vec![];
    for &slot in &attacked {
        for &score in &scores {
            let nodes = grad::unsupported(
                &loaded.model,
                score,
                loaded.model.inputs[slot],
                &StraightThrough::default(),
            )
            .unwrap();
            missing.extend(nodes.into_iter().map(|(_, op)| op));
        }
    }
    if !missing.is_empty() {
        missing.sort();
        missing.dedup();
        return Outcome::NoRule(missing);
    }
    let (mut components, mut limits) = (0, vec![]);
    for &slot in &attacked {
        match guard(|| gradient::check(loaded, slot, &scores)) {
            Ok(Checked::Components(count)) => components += count,
            Ok(Checked::Limit(limit)) => limits.push(limit),
            Err(problem) => {
                let name = &loaded.model.node(loaded.model.inputs[slot].node).name;
                return Outcome::WrongGradient(format!("{name}: {problem:#}"));
            }
        }
    }
    if components == 0 && limits.is_empty() {
        return Outcome::ForwardOnly;
    }
    Outcome::Passed { components, limits }
}

/// The float outputs, but for empty ones: tract's sum of nothing divides by zero.
pub(super) fn scores(model: &TypedModel) -> Vec<OutletId> {
    let is_score = |outlet: &OutletId| {
        let fact = model.outlet_fact(*outlet).unwrap();
        fact.datum_type.is_float() && fact.shape.volume() != 0.to_dim()
    };
    model.outputs.iter().copied().filter(is_score).collect()
}

/// Loads a case with every float input free, or, where tract wants parameters to be constants, only the first.
fn load(case: &Case) -> Result<Loaded, Outcome> {
    let not_loaded = |cause: &dyn std::fmt::Display| {
        Outcome::NotLoaded(cause.to_string().lines().next().unwrap_or_default().to_owned())
    };
    case.tensors.as_ref().map_err(|cause| not_loaded(cause))?;
    let floats = float_inputs(case);
    let all = load_with(case, &floats);
    let one = |_| load_with(case, &floats[..1]);
    all.or_else(one).map_err(|error| match error {
        Error::Node { source: None, ref problem, .. } if !problem.starts_with(UNKNOWN) => {
            Outcome::Refused(error.one_line())
        }
        error => not_loaded(&error.one_line()),
    })
}

fn float_inputs(case: &Case) -> Vec<&str> {
    let tensors = case.tensors.as_ref().unwrap();
    let names = case.graph().input.iter().map(|input| input.name.as_str());
    names.filter(|name| is_float(&tensors[*name])).collect()
}

fn load_with(case: &Case, free: &[&str]) -> Result<Loaded> {
    let tensors = case.tensors.as_ref().unwrap();
    let proto = with_constants(case, free);
    let nodes = Names::of(case.graph());
    let fail = |cause| nodes.explain(&case.name, "tract cannot type it", cause);
    let mut model = parsed::read(&parsed::importer(), &proto, &case.name, None)?;
    let mut inputs = vec![];
    for (slot, source) in model.input_outlets().map_err(fail)?.to_vec().into_iter().enumerate() {
        let value = tensors[&model.node(source.node).name].clone();
        let fact = InferenceFact::dt_shape(value.datum_type(), value.shape());
        model.set_input_fact(slot, fact).map_err(fail)?;
        inputs.push(value);
    }
    let typed = parsed::typed(&case.name, model, fail)?;
    let model = guard(|| typed.into_decluttered()).map_err(fail)?;
    for (input, source) in inputs.iter_mut().zip(&model.inputs) {
        // Half precision has become single.
        let dt = model.outlet_fact(*source).map_err(fail)?.datum_type;
        *input = input.cast_to_dt(dt).map_err(fail)?.into_owned();
    }
    Ok(Loaded { model, inputs })
}

/// The model with all inputs but `free` as initializers.
fn with_constants(case: &Case, free: &[&str]) -> ModelProto {
    let mut proto = case.model.clone();
    let graph = proto.graph.as_mut().unwrap();
    let (free, fixed) =
        graph.input.drain(..).partition(|input| free.contains(&input.name.as_str()));
    graph.input = free;
    let stored: Vec<TensorProto> = fixed
        .iter()
        .filter_map(|input| case.protos.iter().find(|tensor| tensor.name == input.name).cloned())
        .collect();
    graph.initializer.extend(stored);
    proto
}

/// Whether the forward result is the expected one.
fn forward(case: &Case, loaded: &Loaded) -> TractResult<Result<(), String>> {
    let tensors = case.tensors.as_ref().unwrap();
    let found = guard(|| {
        let plan = loaded.model.clone().into_optimized()?.into_runnable()?;
        plan.run(loaded.inputs.iter().map(|input| input.clone().into_tvalue()).collect())
    })?;
    let outputs = case.graph().output.iter().zip(&found);
    let problems: Vec<String> = outputs
        .filter_map(|(output, found)| {
            let problem = compare(found, &tensors[&output.name]).err()?;
            Some(format!("`{}`: {problem}", output.name))
        })
        .collect();
    Ok(if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) })
}

fn compare(found: &Tensor, expected: &Tensor) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("shape {:?}, not {:?}", found.shape(), expected.shape()));
    }
    let dt = expected.datum_type();
    let found_dt = found.datum_type();
    let widened = found_dt == f32::datum_type() && dt == f16::datum_type();
    if found_dt != dt && !widened && !(found_dt == TDim::datum_type() && dt.is_integer()) {
        return Err(format!("type {found_dt:?}, not {dt:?}"));
    }
    if dt == String::datum_type() {
        return if found == expected { Ok(()) } else { Err("other strings".into()) };
    }
    let relative = if dt.size_of() == 2 && dt.is_float() { 1e-2 } else { 1e-3 };
    let close = |found: f64, expected: f64| {
        (found.is_nan() && expected.is_nan())
            || found.total_cmp(&expected).is_eq()
            || (dt.is_float() && (found - expected).abs() <= 1e-5 + relative * expected.abs())
    };
    let mut pairs = flat(found).into_iter().zip(flat(expected)).enumerate();
    match pairs.find(|(_, (found, expected))| !close(*found, *expected)) {
        None => Ok(()),
        Some((index, (found, expected))) => {
            Err(format!("value {index} is {found}, not {expected}"))
        }
    }
}

/// The values as f64.
pub(super) fn flat(tensor: &Tensor) -> Vec<f64> {
    let cast = tensor.cast_to::<f64>().unwrap();
    cast.to_plain_array_view::<f64>().unwrap().iter().copied().collect()
}

fn is_float(tensor: &Tensor) -> bool {
    tensor.datum_type().is_float()
}
