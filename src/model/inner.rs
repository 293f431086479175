//! The part of a graph before an attacked inner tensor, such as an embedding of tokens.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::given::Given;
use super::guard::guard;
use super::options::ModelOptions;
use super::parsed::Parsed;
use super::source::Source;
use super::subgraph::prune;
use crate::error::{Error, Result};

/// Computes the attacked tensor from what the file takes, for one sample at a time.
#[derive(Debug)]
pub(super) struct Inner {
    model: String,
    /// The inputs of the file that the tensor depends on.
    sources: Vec<Source>,
    /// Which of them `x` is taken for when no array has its name.
    main: String,
    plan: Arc<TypedRunnableModel>,
    /// The attacked tensor's name.
    pub tensor: String,
    /// The shape of one sample of it.
    pub shape: Vec<usize>,
    /// The lengths of the axes that the file gives a name.
    pub named: HashMap<String, usize>,
}

impl Inner {
    /// Cuts `proto` after `tensor`.
    ///
    /// # Errors
    /// As [`Parsed::new`]; also when the tensor holds no floats, or its first axis does not count the samples.
    pub(super) fn new(
        (name, folder): (&str, Option<&Path>),
        onnx: &Onnx,
        proto: &ModelProto,
        tensor: &str,
        options: &ModelOptions,
    ) -> Result<Self> {
        let fail = |problem: String| Error::Model { model: name.into(), problem, source: None };
        let mut proto = proto.clone();
        let graph = proto.graph.get_or_insert_default();
        prune(graph, &[tensor], None);
        let main = super::subgraph::inputs(graph)
            .find(|input| !options.constants.contains_key(*input))
            .ok_or_else(|| fail(format!("tensor `{tensor}` is the same for all samples")))?
            .to_owned();
        let shape = options.input_shape.as_deref();
        let parsed =
            Parsed::new((name, folder), onnx, &proto, (&main, shape, &HashMap::new()), options)?;
        let typed = parsed.typed(1)?;
        let prepare = || -> TractResult<_> {
            let output = typed.output_outlets()?[0];
            let fact = typed.outlet_fact(output)?.clone();
            Ok((fact, typed.into_decluttered()?.into_optimized()?.into_runnable()?))
        };
        let (fact, plan) = guard(prepare).map_err(|cause| {
            Error::model(name, format!("tensor `{tensor}` cannot be computed"), cause)
        })?;
        if !fact.datum_type.is_float() {
            return Err(fail(format!(
                "tensor `{tensor}` holds {:?}; only floating-point tensors can be attacked",
                fact.datum_type
            )));
        }
        let shape = match fact.shape.as_concrete() {
            Some([1, shape @ ..]) if !shape.is_empty() => shape.to_vec(),
            _ => {
                let problem = format!(
                    "tensor `{tensor}` has shape {:?} for one sample; expected a first axis that counts the samples",
                    fact.shape
                );
                return Err(fail(problem));
            }
        };
        let (sources, named) = (parsed.sources, parsed.named);
        Ok(Self { model: name.into(), sources, main, plan, tensor: tensor.into(), shape, named })
    }

    /// The inputs of the file that the tensor depends on and that have no constant value.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.constant.is_none())
    }

    /// The tensor's values for every row of `given`, which holds what the file takes.
    pub(super) fn compute(&self, given: &Given<'_>) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(given.ids.len() * self.shape.iter().product::<usize>());
        for row in 0..given.ids.len() {
            let fail = |cause: TractError| {
                let problem = format!(
                    "tensor `{}` cannot be computed for sample {}",
                    self.tensor, given.ids[row]
                );
                Error::model(&self.model, problem, cause)
            };
            let mut inputs = tvec![];
            for source in &self.sources {
                let tensor = match source.constant(1).map_err(fail)? {
                    Some(constant) => constant,
                    None => {
                        let values = given.entry(source, source.name == self.main, row)?;
                        source.tensor(1, &values).map_err(fail)?
                    }
                };
                inputs.push(tensor.into_tvalue());
            }
            let output = guard(|| self.plan.run(inputs)).map_err(fail)?.remove(0);
            let output = output.cast_to::<f32>().map_err(fail)?;
            let values = output.try_as_plain_ram().map_err(fail)?;
            all.extend_from_slice(values.as_slice::<f32>().map_err(fail)?);
        }
        Ok(all)
    }
}
