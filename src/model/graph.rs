//! From the bytes of a file to a decluttered graph for a given batch size.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_hir::infer::{Factoid, InferenceFact};

use super::guard::guard;
use super::logits::{self, Logits};
use super::loops;
use super::options::ModelOptions;
use super::preprocess;
use super::refuse::{refuse, refuse_branches, refuse_typed};
use crate::error::{Error, Result};

/// Samples per plan for graphs that multiply matrices and little else: there a batch reads the weights once.
const MATMUL_BATCH: usize = 16;

/// A parsed file: everything that is needed to make a graph for any batch size.
#[derive(Debug)]
pub(super) struct Graph {
    /// The path or name, for messages.
    pub name: String,
    /// The attacked input's name.
    pub input: String,
    /// The chosen output's name.
    pub output: String,
    /// The shape of one sample.
    pub shape: Vec<usize>,
    /// How many samples a plan should take.
    pub batch: usize,
    model: InferenceModel,
    /// The forward graphs made so far, by batch: loading needs one, and each kind of plan again.
    forward: Mutex<HashMap<usize, (TypedModel, Logits)>>,
    dt: DatumType,
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
        let onnx = onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
        let proto = proto(&onnx, bytes, name)?;
        let graph =
            proto.graph.as_ref().filter(|graph| !graph.node.is_empty()).ok_or_else(|| {
                Error::Model {
                    model: name.into(),
                    problem:
                        "not an ONNX model: it holds no graph; expected the bytes of a .onnx file"
                            .into(),
                    source: None,
                }
            })?;
        refuse(name, graph)?;
        check_outputs(name, graph)?;
        let folder = folder.and_then(Path::to_str);
        let parsed = guard(|| onnx.parse(&proto, folder))
            .map_err(|cause| Error::model(name, "the graph cannot be read", cause))?;
        if let Some(missing) = parsed.unresolved_inputs.first() {
            return Err(Error::Model {
                model: name.into(),
                problem: format!("no node computes the tensor `{missing}`; the file is incomplete"),
                source: None,
            });
        }
        let mut model = parsed.model;
        let output = select_output(&mut model, name, graph, options.output.as_deref())?;
        let (source, fact) = select_input(&mut model, name, options.input.as_deref())?;
        let (dt, shape) = sample(name, &source, &fact, options.input_shape.as_deref())?;
        let axis = options.preprocessing.channel_axis(&shape)?;
        let batch = match options.plan_batch {
            Some(0) => return Err(Error::parameter("plan_batch", 0, "expected 1 or more")),
            Some(batch) => batch,
            None if has_convolution(graph) => 1,
            None => MATMUL_BATCH,
        };
        Ok(Self {
            name: name.into(),
            input: source,
            output,
            shape,
            batch,
            model,
            forward: Mutex::default(),
            dt,
            preprocessing: options.preprocessing.clone(),
            axis,
        })
    }

    /// The forward graph for `batch` samples: data before preprocessing in, logits (`batch x classes`) out. Copies
    /// share the weights.
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
        let fail = |cause| {
            Error::model(&self.name, format!("tract cannot type it for batch {batch}"), cause)
        };
        let typed = guard(|| {
            let mut model = self.model.clone();
            let shape: TVec<usize> =
                std::iter::once(batch).chain(self.shape.iter().copied()).collect();
            model.set_input_fact(0, InferenceFact::dt_shape(self.dt, shape))?;
            model.into_typed()
        });
        let mut typed = typed.map_err(fail)?;
        loops::restart(&mut typed);
        refuse_typed(&self.name, &typed)?;
        refuse_branches(&self.name, &typed)?;
        let mut model = guard(|| {
            preprocess::prepend(&typed, &self.preprocessing, self.axis)?.into_decluttered()
        })
        .map_err(fail)?;
        let logits = guard(|| logits::expose(&mut model, batch)).map_err(|cause| {
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

/// Whether the graph convolves or pools: tract then materialises the columns of a whole batch, and loses by it.
fn has_convolution(graph: &GraphProto) -> bool {
    graph.node.iter().any(|node| node.op_type.contains("Conv") || node.op_type.contains("Pool"))
}

fn select_output(
    model: &mut InferenceModel,
    name: &str,
    graph: &GraphProto,
    wanted: Option<&str>,
) -> Result<String> {
    let available: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let wanted = match wanted {
        Some(wanted) => wanted.to_owned(),
        None => available.first().cloned().ok_or_else(|| Error::Model {
            model: name.into(),
            problem: "the graph has no output".into(),
            source: None,
        })?,
    };
    let outlet = match available.iter().position(|output| *output == wanted) {
        Some(index) => model.output_outlets().ok().and_then(|outlets| outlets.get(index).copied()),
        None => model.find_outlet_label(&wanted),
    };
    let outlet = outlet.ok_or_else(|| Error::UnknownTensor {
        model: name.into(),
        role: "output",
        name: wanted.clone(),
        available,
    })?;
    model.select_output_outlets(&[outlet]).map_err(|cause| {
        Error::model(name, format!("output `{wanted}` cannot be selected"), cause)
    })?;
    Ok(wanted)
}

fn select_input(
    model: &mut InferenceModel,
    name: &str,
    wanted: Option<&str>,
) -> Result<(String, InferenceFact)> {
    let fail = |cause: TractError| Error::model(name, "its inputs cannot be read", cause);
    let sources = model.input_outlets().map_err(fail)?.to_vec();
    let names: Vec<String> =
        sources.iter().map(|source| model.node(source.node).name.clone()).collect();
    let index = match wanted {
        Some(wanted) => {
            names.iter().position(|name| name == wanted).ok_or_else(|| Error::UnknownTensor {
                model: name.into(),
                role: "input",
                name: wanted.into(),
                available: names.clone(),
            })?
        }
        None => 0,
    };
    let Some(source) = sources.get(index).copied() else {
        return Err(Error::Model {
            model: name.into(),
            problem: "the graph has no input: nothing can be attacked".into(),
            source: None,
        });
    };
    if let Some((_, other)) = names.iter().enumerate().find(|(other, _)| *other != index) {
        return Err(Error::Model {
            model: name.into(),
            problem: format!(
                "besides `{}` the graph has the input `{other}`, whose value is unknown; only models with one input \
                 are supported",
                names[index]
            ),
            source: None,
        });
    }
    let fact = model.outlet_fact(source).map_err(fail)?.clone();
    Ok((names[index].clone(), fact))
}

/// The attacked input's type and the shape of one sample.
fn sample(
    name: &str,
    input: &str,
    fact: &InferenceFact,
    given: Option<&[usize]>,
) -> Result<(DatumType, Vec<usize>)> {
    let fail = |problem: String| Error::Model { model: name.into(), problem, source: None };
    let dt = fact.datum_type.concretize().unwrap_or(f32::datum_type());
    if !dt.is_float() {
        return Err(fail(format!(
            "input `{input}` holds {dt:?}; only floating-point inputs can be attacked by gradients"
        )));
    }
    let misfit = |expected: String| {
        let value = given.map_or("not given".into(), |given| format!("{given:?}"));
        Error::parameter("input_shape", value, format!("expected {expected}"))
    };
    if fact.shape.is_open() {
        let any = || misfit(format!("the shape of one sample: {name} declares none for `{input}`"));
        let valid = given.filter(|shape| shape.iter().all(|len| *len > 0));
        return valid.map(|shape| (dt, shape.to_vec())).ok_or_else(any);
    }
    let declared: Vec<Option<usize>> =
        fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok())).collect();
    let Some((batch, declared)) = declared.split_first().filter(|(_, rest)| !rest.is_empty())
    else {
        let rank = declared.len();
        return Err(fail(format!("input `{input}` has rank {rank}: it lacks a batch axis")));
    };
    if let Some(batch) = batch.filter(|batch| *batch != 1) {
        log::warn!("{name}: input `{input}` is declared with batch {batch}; other sizes are tried");
    }
    let fits = |shape: &[usize]| {
        shape.len() == declared.len()
            && shape.iter().all(|len| *len > 0)
            && declared.iter().zip(shape).all(|(dim, len)| dim.is_none_or(|dim| dim == *len))
    };
    let known = declared.iter().copied().collect::<Option<Vec<usize>>>();
    match given.map(<[usize]>::to_vec).or(known).filter(|shape| fits(shape)) {
        Some(shape) => Ok((dt, shape)),
        None => {
            let dims = declared.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string()));
            let dims = dims.collect::<Vec<String>>().join(", ");
            Err(misfit(format!("a shape that fits [{dims}], which {name} declares for `{input}`")))
        }
    }
}
