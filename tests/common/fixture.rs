//! Small ONNX files, built in memory.

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, tensor_proto, type_proto,
};

use ironbound::tract_onnx;

/// A graph under construction.
#[derive(Clone, Debug, Default)]
pub struct Fixture {
    graph: GraphProto,
}

impl Fixture {
    /// A float input; dimensions are numbers or names.
    pub fn input(self, name: &str, dims: &[&str]) -> Self {
        self.typed_input(name, dims, tensor_proto::DataType::Float)
    }

    pub fn typed_input(mut self, name: &str, dims: &[&str], dt: tensor_proto::DataType) -> Self {
        self.graph.input.push(value(name, dims, dt));
        self
    }

    pub fn output(mut self, name: &str, dims: &[&str]) -> Self {
        self.graph.output.push(value(name, dims, tensor_proto::DataType::Float));
        self
    }

    pub fn floats(mut self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: tensor_proto::DataType::Float as i32,
            float_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: tensor_proto::DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// A node named after its output.
    pub fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) -> Self {
        self.graph.node.push(NodeProto {
            name: format!("{output}_node"),
            op_type: op.into(),
            input: inputs.iter().map(|name| (*name).into()).collect(),
            output: vec![output.into()],
            attribute: attributes.to_vec(),
            ..NodeProto::default()
        });
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![opset],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    /// `y = x W` with x `[N, 3]` and y `[N, 2]`; `tail` turns `z` into `y`.
    pub fn linear(batch: &str, weights: &[f32; 6], tail: &str) -> Self {
        let fixture = Self::default()
            .input("x", &[batch, "3"])
            .floats("w", &[3, 2], weights)
            .node("MatMul", &["x", "w"], "z", &[])
            .output("y", &[batch, "2"]);
        fixture.node(tail, &["z"], "y", &[])
    }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Int as i32;
    AttributeProto { name: name.into(), i: value, r#type, ..AttributeProto::default() }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Float as i32;
    AttributeProto { name: name.into(), f: value, r#type, ..AttributeProto::default() }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Ints as i32;
    AttributeProto { name: name.into(), ints: values.to_vec(), r#type, ..AttributeProto::default() }
}

/// A graph inside a node.
pub fn graph(name: &str, graph: Fixture) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Graph as i32;
    AttributeProto { name: name.into(), g: Some(graph.graph), r#type, ..AttributeProto::default() }
}

pub fn string(name: &str, value: &str) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::String as i32;
    AttributeProto { name: name.into(), s: value.into(), r#type, ..AttributeProto::default() }
}

pub fn strings(name: &str, values: &[&str]) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Strings as i32;
    let strings = values.iter().map(|text| text.as_bytes().to_vec()).collect();
    AttributeProto { name: name.into(), strings, r#type, ..AttributeProto::default() }
}

fn value(name: &str, dims: &[&str], dt: tensor_proto::DataType) -> ValueInfoProto {
    let dim = |dim: &&str| Dimension {
        value: Some(dim.parse().map_or_else(
            |_| dimension::Value::DimParam((*dim).into()),
            dimension::Value::DimValue,
        )),
        ..Dimension::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: dt as i32, shape: Some(shape) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}
