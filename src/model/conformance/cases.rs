//! The archive of cases.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use prost::Message;
use tract_onnx::data_resolver::MmapDataResolver;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};
use tract_onnx::prelude::*;
use tract_onnx::tensor::load_tensor;

const ARCHIVE: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/onnx_nodes.zip"));

/// One node test of the ONNX project.
#[derive(Debug)]
pub(super) struct Case {
    pub name: String,
    pub model: ModelProto,
    /// The graph's inputs and expected outputs.
    pub protos: Vec<TensorProto>,
    /// Their values, by name.
    pub tensors: TractResult<HashMap<String, Tensor>>,
}

impl Case {
    pub(super) fn graph(&self) -> &GraphProto {
        self.model.graph.as_ref().unwrap()
    }

    /// The operator that the case is about: the last node's.
    pub(super) fn operator(&self) -> String {
        let node = self.graph().node.last().unwrap();
        match node.domain.as_str() {
            "" => node.op_type.clone(),
            domain => format!("{domain}.{}", node.op_type),
        }
    }
}

/// Every case, by name.
pub(super) fn all() -> Vec<Case> {
    let mut archive = zip::ZipArchive::new(Cursor::new(ARCHIVE)).unwrap();
    let mut entry = |name: &str| {
        let mut bytes = vec![];
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    names()
        .into_iter()
        .map(|name| {
            let model = ModelProto::decode(&*entry(&format!("{name}.onnx"))).unwrap();
            let protos = GraphProto::decode(&*entry(&format!("{name}.pb"))).unwrap().initializer;
            Case { tensors: tensors(&protos), name, model, protos }
        })
        .collect()
}

fn names() -> Vec<String> {
    let archive = zip::ZipArchive::new(Cursor::new(ARCHIVE)).unwrap();
    let names = archive.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".onnx")?.to_owned())).collect();
    names.sort();
    names
}

/// Fails where a tensor has a type that tract lacks.
fn tensors(protos: &[TensorProto]) -> TractResult<HashMap<String, Tensor>> {
    let load = |proto| load_tensor(&MmapDataResolver, proto, None);
    protos.iter().map(|proto| Ok((proto.name.clone(), load(proto)?))).collect()
}
