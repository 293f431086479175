//! Which tensors of a file are meant.

use tract_onnx::pb::GraphProto;

use super::options::ModelOptions;
use super::source::Source;
use super::subgraph::{OutputNames, inputs};
use crate::error::{Error, Result};

/// What the outputs are called in messages, and the tensors that are looked at: those asked for, or the first output.
pub(super) fn choose_outputs(
    name: &str,
    graph: &GraphProto,
    options: &ModelOptions,
) -> Result<(String, Vec<String>)> {
    let of = |wanted: Option<&str>| choose_output(name, graph, wanted);
    let tensors = match options.outputs.as_deref() {
        None | Some([]) => vec![of(options.output.as_deref())?],
        Some(_) if options.output.is_some() => {
            let expected = "expected either `output` or a list of `outputs`";
            return Err(Error::parameter("outputs", "given with `output`", expected));
        }
        Some(names) => names.iter().map(|name| of(Some(name))).collect::<Result<_>>()?,
    };
    Ok((tensors.join(", "), tensors))
}

/// The tensor asked for, or the first output.
fn choose_output(name: &str, graph: &GraphProto, wanted: Option<&str>) -> Result<String> {
    let available: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    let Some(wanted) = wanted else {
        return available.into_iter().next().ok_or_else(|| Error::Model {
            model: name.into(),
            problem: "the graph has no output".into(),
            source: None,
        });
    };
    let inner = graph.node.iter().flat_map(OutputNames::output_names).any(|known| known == wanted);
    if inner || available.iter().any(|known| known == wanted) {
        return Ok(wanted.into());
    }
    Err(unknown(name, "output", wanted, available))
}

/// The input asked for, or the first one that holds floats (or the first one, if none does). `graph` is pruned to what
/// the output depends on, `given` are all the inputs of the file.
pub(super) fn choose_input(
    name: &str,
    graph: &GraphProto,
    given: &[String],
    output: &str,
    options: &ModelOptions,
) -> Result<String> {
    let fail = |problem: String| Error::Model { model: name.into(), problem, source: None };
    if given.is_empty() {
        return Err(fail("the graph has no input: nothing can be attacked".into()));
    }
    if let Some(unused) =
        options.constants.keys().find(|constant| !given.iter().any(|known| known == *constant))
    {
        return Err(unknown(name, "input", unused, given.to_vec()));
    }
    let remaining: Vec<&str> = inputs(graph).collect();
    let is_float = |input: &&&str| {
        let info = graph.input.iter().find(|info| info.name == ***input);
        let value = info.and_then(|info| info.r#type.as_ref()?.value.as_ref());
        // f32, f16, f64, or unsaid.
        value.is_none_or(|tract_onnx::pb::type_proto::Value::TensorType(tensor)| {
            matches!(tensor.elem_type, 0 | 1 | 10 | 11)
        })
    };
    let free = |input: &&&str| !options.constants.contains_key(**input);
    let chosen = match options.input.as_deref() {
        Some(wanted) => remaining.iter().find(|input| **input == wanted),
        None => remaining
            .iter()
            .find(|input| is_float(input) && free(input))
            .or(remaining.iter().find(free)),
    };
    chosen.map(|input| (*input).to_owned()).ok_or_else(|| {
        let input = options.input.as_deref().unwrap_or(&given[0]);
        fail(format!(
            "output `{output}` does not depend on input `{input}`: nothing can be attacked"
        ))
    })
}

/// The error for an input that holds no floats; it names the tensors that could be attacked instead.
pub(super) fn discrete(name: &str, source: &Source, graph: Option<&GraphProto>) -> Error {
    let embeds = graph.into_iter().flat_map(|graph| &graph.node).filter(|node| {
        node.op_type == "Gather" && node.input.get(1).is_some_and(|index| *index == source.name)
    });
    let tensors: Vec<String> =
        embeds.flat_map(OutputNames::output_names).map(|tensor| format!("`{tensor}`")).collect();
    let remedy = if tensors.is_empty() {
        "name an inner tensor that holds floats as the input".into()
    } else {
        format!("name what is looked up for it as the input: {}", tensors.join(" or "))
    };
    Error::Model {
        model: name.into(),
        problem: format!(
            "input `{}` holds {:?}; only floating-point tensors can be attacked: {remedy}",
            source.name, source.dt
        ),
        source: None,
    }
}

/// The error for a name that the file does not have.
pub(super) fn unknown(
    model: &str,
    role: &'static str,
    name: &str,
    available: Vec<String>,
) -> Error {
    Error::UnknownTensor { model: model.into(), role, name: name.into(), available }
}
