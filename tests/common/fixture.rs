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
    opset: Option<i64>,
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

    pub fn halves(mut self, name: &str, dims: &[i64], values: &[half::f16]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: tensor_proto::DataType::Float16 as i32,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
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

    pub fn bools(mut self, name: &str, values: &[bool]) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: tensor_proto::DataType::Bool as i32,
            int32_data: values.iter().map(|value| i32::from(*value)).collect(),
            ..TensorProto::default()
        });
        self
    }

    /// A boolean scalar.
    pub fn flag(mut self, name: &str, value: bool) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            data_type: tensor_proto::DataType::Bool as i32,
            int32_data: vec![i32::from(value)],
            ..TensorProto::default()
        });
        self
    }

    pub fn shaped_ints(mut self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        self = self.ints(name, values);
        if let Some(tensor) = self.graph.initializer.last_mut() {
            tensor.dims = dims.to_vec();
        }
        self
    }

    /// A node named after its output.
    pub fn node(
        self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: &[AttributeProto],
    ) -> Self {
        self.node_of(op, inputs, &[output], attributes)
    }

    /// A node named after the first of its outputs.
    pub fn node_of(
        mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[AttributeProto],
    ) -> Self {
        self.graph.node.push(NodeProto {
            name: format!("{}_node", outputs[0]),
            op_type: op.into(),
            input: inputs.iter().map(|name| (*name).into()).collect(),
            output: outputs.iter().map(|name| (*name).into()).collect(),
            attribute: attributes.to_vec(),
            ..NodeProto::default()
        });
        self
    }

    /// An initializer of 8- or 32-bit integers.
    pub fn integers(
        mut self,
        name: &str,
        dims: &[i64],
        values: &[i32],
        dt: tensor_proto::DataType,
    ) -> Self {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: dt as i32,
            int32_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// The version of the operator set, 13 otherwise.
    pub fn opset(mut self, version: i64) -> Self {
        self.opset = Some(version);
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        let opset = self.opset.unwrap_or(13);
        self.bytes_at(opset)
    }

    pub fn bytes_at(self, opset: i64) -> Vec<u8> {
        let opset = OperatorSetIdProto { domain: String::new(), version: opset };
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

pub fn floats(name: &str, values: &[f32]) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Floats as i32;
    AttributeProto {
        name: name.into(),
        floats: values.to_vec(),
        r#type,
        ..AttributeProto::default()
    }
}

/// A graph inside a node.
pub fn graph(name: &str, graph: Fixture) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Graph as i32;
    AttributeProto { name: name.into(), g: Some(graph.graph), r#type, ..AttributeProto::default() }
}

pub fn string(name: &str, value: &str) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::String as i32;
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.into(), s, r#type, ..AttributeProto::default() }
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
