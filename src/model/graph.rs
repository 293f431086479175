//! From the bytes of a file to a decluttered graph for a given batch size.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::choose::{choose_input, choose_outputs, discrete, unknown};
use super::guard::guard;
use super::inner::Inner;
use super::inspect::{Interface, unsteady};
use super::logits::{self, Logits};
use super::options::ModelOptions;
use super::parsed::{Parsed, importer};
use super::preprocess;
use super::requantise::split_requantisations;
use super::scores::{self, Scores};
use super::source::Source;
use super::straight_through::FileNodes;
use super::subgraph::{OutputNames, declare, inputs, prune};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::grad::StraightThrough;

/// Samples per plan for graphs that multiply matrices and little else: there a batch reads the weights once.
const MATMUL_BATCH: usize = 16;

/// Values of all samples of a plan for graphs that convolve.
const CONVOLUTION_VALUES: usize = 1 << 15;

/// ONNX's number for f32.
const FLOAT: i32 = 1;

/// A parsed file: everything that is needed to make a graph for any batch size.
#[derive(Debug)]
pub(super) struct Graph {
    /// The path or name, for messages.
    pub name: String,
    /// The attacked tensor's name.
    pub input: String,
    /// The chosen output's name.
    pub output: String,
    /// Whether the outputs are left as they are, for an objective.
    pub raw: bool,
    /// The tensor that holds that output's scores.
    pub scores: Scores,
    /// The shape of one sample.
    pub shape: Vec<usize>,
    /// How many samples a plan should take.
    pub batch: usize,
    /// The version of the default operator set.
    pub opset: i64,
    /// What comes before an attacked inner tensor.
    pub inner: Option<Inner>,
    /// The part of the file that is attacked.
    pub parsed: Parsed,
    /// The nodes of the file.
    pub nodes: FileNodes,
    /// Which of them gradients pass straight through.
    pub through: StraightThrough,
    /// What the file declares.
    pub interface: Interface,
    /// What the file shows a reader must know.
    pub notes: Vec<Finding>,
    /// The forward graphs made so far, by batch: loading needs one, and each kind of plan again.
    forward: Mutex<HashMap<usize, (TypedModel, Logits)>>,
    preprocessing: super::options::Preprocessing,
    axis: Option<usize>,
}

impl Graph {
    /// Parses `bytes`; external tensors are looked for in `folder`.
    pub(super) fn parse(
        bytes: &[u8],
        name: &str,
        folder: Option<&Path>,
        options: &ModelOptions,
    ) -> Result<Self> {
        let onnx = importer();
        let mut proto = proto(&onnx, bytes, name)?;
        let defaults = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let opset = proto.opset_import.iter().find(|import| defaults(&import.domain));
        let opset = opset.map_or(0, |import| import.version);
        let graph = proto.graph.as_ref().filter(|graph| !graph.node.is_empty());
        let graph = graph.ok_or_else(|| Error::Model {
            model: name.into(),
            problem: "not an ONNX model: it holds no graph; expected the bytes of a .onnx file"
                .into(),
            source: None,
        })?;
        check_outputs(name, graph)?;
        let (output, tensors) = choose_outputs(name, graph, options)?;
        let scores = match options.outputs {
            None => scores::find(graph, &output),
            Some(_) => Scores { tensor: output.clone(), skipped: vec![] },
        };
        let ends: Vec<&str> = match options.outputs {
            None => vec![&scores.tensor],
            Some(_) => tensors.iter().map(String::as_str).collect(),
        };
        let interface = Interface::of(graph);
        let notes = ends.iter().flat_map(|end| unsteady(graph, end)).collect();
        let convolves = has_convolution(graph);
        let given: Vec<String> = inputs(graph).map(Into::into).collect();
        let at = (name, folder);
        let inner = match options.input.as_deref() {
            Some(input) if !given.iter().any(|known| known == input) => {
                if !graph
                    .node
                    .iter()
                    .flat_map(OutputNames::output_names)
                    .any(|known| known == input)
                {
                    return Err(unknown(name, "input", input, given));
                }
                Some(Inner::new(at, &onnx, &proto, input, options)?)
            }
            _ => None,
        };
        let graph = proto.graph.get_or_insert_default();
        let stop = inner.as_ref().map(|inner| {
            let shape = inner.shape.iter().copied().map(Some);
            let all: Vec<Option<usize>> = std::iter::once(None).chain(shape).collect();
            declare(&inner.tensor, FLOAT, &all)
        });
        prune(graph, &ends, stop);
        let nodes = FileNodes::new(graph);
        let input = choose_input(name, graph, &given, &output, options)?;
        let shape = inner.as_ref().map(|inner| inner.shape.clone()).or(options.input_shape.clone());
        let nothing = HashMap::new();
        let named = inner.as_ref().map_or(&nothing, |inner| &inner.named);
        let main = (&*input, shape.as_deref(), named);
        let parsed = Parsed::new(at, &onnx, &proto, main, options)?;
        let source = parsed.sources.iter().find(|source| source.name == input);
        let source = source.ok_or_else(|| unknown(name, "input", &input, given))?;
        if !source.dt.is_float() {
            return Err(discrete(name, source, proto.graph.as_ref()));
        }
        let shape = source.shape.clone();
        let axis = options.preprocessing.channel_axis(&shape)?;
        // What does not count samples cannot be given for several at once.
        let whole = parsed.sources.iter().any(|other| !other.batched && other.constant.is_none());
        let batch = match options.plan_batch {
            Some(0) => return Err(Error::parameter("plan_batch", 0, "expected 1 or more")),
            _ if whole => 1,
            Some(batch) => batch,
            None if convolves => convolution_batch(shape.iter().product()),
            None => MATMUL_BATCH,
        };
        Ok(Self {
            name: name.into(),
            interface,
            notes,
            input,
            output,
            raw: options.outputs.is_some(),
            scores,
            shape,
            batch,
            opset,
            inner,
            parsed,
            through: nodes.select(&options.straight_through),
            nodes,
            forward: Mutex::default(),
            preprocessing: options.preprocessing.clone(),
            axis,
        })
    }

    /// The inputs besides the attacked one that each sample has a value of its own for, in the order in which a
    /// forward graph takes them, after the attacked input.
    pub(super) fn others(&self) -> impl Iterator<Item = &Source> {
        let others = self.parsed.sources.iter().filter(|source| source.name != self.input);
        others.filter(|source| source.constant.is_none())
    }

    /// The forward graph for `batch` samples: data before preprocessing (and the [others](Self::others)) in, logits
    /// (`batch x classes`) out. Copies share the weights.
    ///
    /// # Errors
    /// When the graph cannot take that batch; the message names the node that tract stumbled over.
    pub(super) fn forward(&self, batch: usize) -> Result<(TypedModel, Logits)> {
        let mut known = self.forward.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(forward) = known.get(&batch) {
            return Ok(forward.clone());
        }
        let forward = self.make_forward(batch)?;
        known.insert(batch, forward.clone());
        Ok(forward)
    }

    fn make_forward(&self, batch: usize) -> Result<(TypedModel, Logits)> {
        let typed = self.parsed.typed(batch)?;
        let prepare = || -> TractResult<TypedModel> {
            let constants = self.parsed.sources.iter().map(|source| source.constant(batch));
            let constants = constants.collect::<TractResult<Vec<_>>>()?;
            let front = preprocess::Front {
                attacked: &self.input,
                constants: &constants,
                preprocessing: &self.preprocessing,
                axis: self.axis,
            };
            let mut model = front.prepend(&typed)?;
            split_requantisations(&mut model)?;
            model.into_decluttered()
        };
        let mut model = guard(prepare)
            .map_err(|cause| Error::model(&self.name, "tract cannot simplify it", cause))?;
        let expose = if self.raw { logits::expose_raw } else { logits::expose };
        let logits = guard(|| expose(&mut model, batch)).map_err(|cause| {
            Error::model(&self.name, format!("output `{}` cannot be attacked", self.output), cause)
        })?;
        let model = guard(|| model.into_decluttered())
            .map_err(|cause| Error::model(&self.name, "tract cannot simplify it", cause))?;
        Ok((model, logits))
    }
}

fn proto(onnx: &Onnx, bytes: &[u8], name: &str) -> Result<ModelProto> {
    onnx.proto_model_for_read(&mut &*bytes).map_err(|cause| {
        Error::model(
            name,
            "not an ONNX model: the bytes are no protobuf, or the file is cut short",
            cause,
        )
    })
}

/// Refuses outputs that nothing computes.
fn check_outputs(name: &str, graph: &GraphProto) -> Result<()> {
    let computed = graph.node.iter().flat_map(|node| &node.output);
    let given = graph.input.iter().map(|input| &input.name);
    let known: HashSet<&String> =
        computed.chain(given).chain(graph.initializer.iter().map(|tensor| &tensor.name)).collect();
    match graph.output.iter().find(|output| !known.contains(&output.name)) {
        Some(output) => Err(Error::Model {
            model: name.into(),
            problem: format!(
                "no node computes the output `{}`; the file is incomplete",
                output.name
            ),
            source: None,
        }),
        None => Ok(()),
    }
}

/// Samples per plan for graphs that convolve, by the values of a sample: enough for the deep layers, whose images are small, to
/// fill the processor, as long as the activations of the first ones are of the cache's size. A power of two.
fn convolution_batch(features: usize) -> usize {
    let most = (CONVOLUTION_VALUES / features.max(1)).clamp(1, MATMUL_BATCH);
    1 << most.ilog2()
}

/// Whether the graph convolves or pools.
fn has_convolution(graph: &GraphProto) -> bool {
    graph.node.iter().any(|node| node.op_type.contains("Conv") || node.op_type.contains("Pool"))
}
