//! A part of a file, read by tract, to be typed for any batch size.

use std::collections::HashMap;
use std::path::Path;

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::transform::get_transform;

use super::faults::{Names, expect_known};
use super::guard::guard;
use super::loops;
use super::options::ModelOptions;
use super::refuse::{refuse, refuse_typed};
use super::source::{Axes, Source};
use crate::error::{Error, Result};

/// A graph as tract's importer leaves it.
#[derive(Debug)]
pub(super) struct Parsed {
    name: String,
    model: InferenceModel,
    /// In the graph's order.
    pub sources: Vec<Source>,
    /// The lengths of the axes that the file gives a name.
    pub named: HashMap<String, usize>,
    /// The nodes of the file.
    pub nodes: Names,
}

impl Parsed {
    /// Reads the graph of `proto`; external tensors are looked for in `folder`. `main` is the input whose first axis
    /// counts the samples, `shape` the shape of one sample of it, `named` the axes whose length is known already.
    ///
    /// # Errors
    /// As [`Model::load_with`](crate::Model::load_with).
    pub(super) fn new(
        (name, folder): (&str, Option<&Path>),
        onnx: &Onnx,
        proto: &ModelProto,
        (main, shape, named): (&str, Option<&[usize]>, &HashMap<String, usize>),
        options: &ModelOptions,
    ) -> Result<Self> {
        let nodes = proto.graph.as_ref().map_or_else(Names::default, Names::of);
        let model = read(onnx, proto, name, folder)?;
        let fail = |cause: TractError| Error::model(name, "its inputs cannot be read", cause);
        let mut inputs = vec![];
        for outlet in model.input_outlets().map_err(fail)? {
            let fact = model.outlet_fact(*outlet).map_err(fail)?;
            inputs.push((model.node(outlet.node).name.clone(), fact));
        }
        let main_fact = inputs.iter().find(|(input, _)| input == main);
        let (_, main_fact) = main_fact.ok_or_else(|| incomplete(name, main))?;
        let (axes, main_source) = Axes::of_main(name, main, main_fact, shape, named)?;
        let mut sources = vec![];
        for (input, fact) in &inputs {
            sources.push(if input == main {
                main_source.clone()
            } else {
                axes.further(input, fact, options.constants.get(input))?
            });
        }
        let named = axes.named;
        Ok(Self { name: name.into(), model, sources, named, nodes })
    }

    /// The graph for `batch` samples, as it was exported but for half precision, which becomes single: its inputs are
    /// those of [`sources`](Self::sources), in that order.
    ///
    /// # Errors
    /// When the graph cannot take that batch; the message names the node that tract stumbled over.
    pub(super) fn typed(&self, batch: usize) -> Result<TypedModel> {
        let model = guard(|| {
            let mut model = self.model.clone();
            for (index, source) in self.sources.iter().enumerate() {
                model.set_input_fact(index, source.fact(batch)?)?;
            }
            Ok(model)
        });
        let explain = |cause| {
            self.nodes.explain(&self.name, format!("tract cannot type it for batch {batch}"), cause)
        };
        typed(&self.name, model.map_err(explain)?, explain)
    }
}

/// tract's ONNX importer, told to infer what files declare wrongly.
pub(super) fn importer() -> Onnx {
    onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}

/// The graph of a parsed file, without the nodes that tract would get wrong; external tensors are looked for in
/// `folder`.
pub(super) fn read(
    onnx: &Onnx,
    proto: &ModelProto,
    name: &str,
    folder: Option<&Path>,
) -> Result<InferenceModel> {
    let empty = GraphProto::default();
    let graph = proto.graph.as_ref().unwrap_or(&empty);
    refuse(name, proto)?;
    expect_known(name, onnx, graph)?;
    let folder = folder.and_then(Path::to_str);
    let parsed = guard(|| onnx.parse(proto, folder))
        .map_err(|cause| Names::of(graph).explain(name, "tract cannot read it", cause))?;
    match parsed.unresolved_inputs.first() {
        None => Ok(parsed.model),
        Some(missing) => Err(incomplete(name, missing)),
    }
}

/// Types a graph whose inputs have concrete shapes, in single precision where the file has half; refuses what tract
/// would then get wrong.
pub(super) fn typed(
    name: &str,
    model: InferenceModel,
    fail: impl Fn(TractError) -> Error,
) -> Result<TypedModel> {
    let mut typed = guard(|| model.into_typed()).map_err(&fail)?;
    loops::restart(&mut typed);
    refuse_typed(name, &typed)?;
    if has_half(&typed) {
        guard(|| get_transform("f16_to_f32")?.context("no such transform")?.transform(&mut typed))
            .map_err(&fail)?;
    }
    Ok(typed)
}

fn incomplete(name: &str, tensor: &str) -> Error {
    Error::Model {
        model: name.into(),
        problem: format!("no node computes the tensor `{tensor}`; the file is incomplete"),
        source: None,
    }
}

fn has_half(model: &TypedModel) -> bool {
    let outputs = model.nodes().iter().flat_map(|node| &node.outputs);
    outputs.into_iter().any(|output| output.fact.datum_type == f16::datum_type())
}
