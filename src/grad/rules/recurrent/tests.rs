use proptest::prelude::*;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, tensor_proto, type_proto,
};
use tract_onnx::tract_core::ops::array::TypedConcat;

use super::*;
use crate::grad::testing::{EXACT, check_against, values};

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A cell over one source, cut into the cell's inputs (of `widths` times `hidden` columns), its outputs side by side.
fn check_cell(
    cell: impl Fn() -> Box<dyn TypedOp>,
    rows: usize,
    hidden: usize,
    widths: &[usize],
    outputs: &[usize],
    reference: impl Fn(&[Vec<f64>]) -> Vec<Vec<f64>>,
) {
    let total = widths.iter().sum::<usize>() * hidden;
    let build = |dt: DatumType| {
        let mut model = TypedModel::default();
        let x = model.add_source("x", dt.fact([rows, total]))?;
        let mut inputs = tvec![];
        let mut from = 0;
        for (index, width) in widths.iter().enumerate() {
            let to = from + width * hidden;
            let slice = Slice::new(1, from, to);
            inputs.push(model.wire_node(format!("input.{index}"), slice, &[x])?[0]);
            from = to;
        }
        let found = model.wire_node("cell", cell(), &inputs)?;
        let chosen: Vec<OutletId> = outputs.iter().map(|slot| found[*slot]).collect();
        let y = model.wire_node("y", TypedConcat::new(1), &chosen)?;
        model.select_output_outlets(&y)?;
        Ok(model)
    };
    check_against(build, &[values(&[rows, total], -2.0, 2.0)], EXACT, |inputs| {
        let mut y = vec![];
        for row in inputs[0].chunks_exact(total) {
            let mut parts = vec![];
            let mut rest = row;
            for width in widths {
                let (part, tail) = rest.split_at(width * hidden);
                parts.push(part.to_vec());
                rest = tail;
            }
            let found = reference(&parts);
            outputs.iter().for_each(|slot| y.extend(&found[*slot]));
        }
        y
    });
}

fn check_lstm_cell(rows: usize, hidden: usize, outputs: &[usize]) {
    check_cell(
        || Box::new(LstmEpilogue { hidden }),
        rows,
        hidden,
        &[4, 1],
        outputs,
        |inputs| {
            let (sums, before) = (&inputs[0], &inputs[1]);
            let (mut h, mut c) = (vec![], vec![]);
            for unit in 0..hidden {
                let gate = |index: usize| sums[index * hidden + unit];
                c.push(sigmoid(gate(2)) * before[unit] + sigmoid(gate(0)) * gate(3).tanh());
                h.push(sigmoid(gate(1)) * c[unit].tanh());
            }
            vec![h, c]
        },
    );
}

fn check_gru_cell(rows: usize, hidden: usize) {
    check_cell(
        || Box::new(GruEpilogue { hidden }),
        rows,
        hidden,
        &[3, 3, 1],
        &[0],
        |inputs| {
            let unit = |unit: usize| {
                let at = |index: usize| {
                    (inputs[0][index * hidden + unit], inputs[1][index * hidden + unit])
                };
                let [(xz, sz), (xr, sr), (xn, sn)] = [at(0), at(1), at(2)];
                let n = (xn + sigmoid(xr + sr) * sn).tanh();
                let z = sigmoid(xz + sz);
                (1.0 - z) * n + z * inputs[2][unit]
            };
            vec![(0..hidden).map(unit).collect()]
        },
    );
}

#[test]
fn lstm_cells() {
    for outputs in [&[0, 1][..], &[0], &[1]] {
        check_lstm_cell(2, 3, outputs);
        check_lstm_cell(1, 1, outputs);
    }
}

#[test]
fn gru_cells() {
    check_gru_cell(2, 3);
    check_gru_cell(1, 1);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Rnn,
    Lstm,
    /// With peepholes.
    PeepholeLstm,
    Gru,
    /// With `linear_before_reset`.
    LinearGru,
}

const KINDS: [Kind; 5] = [Kind::Rnn, Kind::Lstm, Kind::PeepholeLstm, Kind::Gru, Kind::LinearGru];

/// An ONNX recurrent layer.
#[derive(Clone, Copy, Debug)]
struct Layer {
    kind: Kind,
    direction: &'static str,
    steps: usize,
    batch: usize,
    features: usize,
    hidden: usize,
    biases: bool,
    initial: bool,
    /// Samples before steps.
    batch_first: bool,
    /// Which of Y, `Y_h`, `Y_c` are read.
    outputs: [bool; 3],
}

const LAYER: Layer = Layer {
    kind: Kind::Rnn,
    direction: "forward",
    steps: 5,
    batch: 2,
    features: 3,
    hidden: 2,
    biases: true,
    initial: true,
    batch_first: false,
    outputs: [true, true, true],
};

impl Layer {
    fn gates(&self) -> usize {
        match self.kind {
            Kind::Rnn => 1,
            Kind::Lstm | Kind::PeepholeLstm => 4,
            Kind::Gru | Kind::LinearGru => 3,
        }
    }

    fn is_lstm(&self) -> bool {
        matches!(self.kind, Kind::Lstm | Kind::PeepholeLstm)
    }

    fn directions(&self) -> usize {
        if self.direction == "bidirectional" { 2 } else { 1 }
    }

    /// The ONNX inputs X, W, R, B, `sequence_lens`, `initial_h`, `initial_c`, P; empty where absent.
    fn shapes(&self) -> [Vec<usize>; 8] {
        let (directions, gates, hidden) = (self.directions(), self.gates(), self.hidden);
        let only = |present: bool, shape: [usize; 3]| {
            if present { shape.to_vec() } else { vec![] }
        };
        let by_batch = |steps: usize, width: usize| match self.batch_first {
            true => [self.batch, steps, width],
            false => [steps, self.batch, width],
        };
        let flat =
            |present: bool, width: usize| if present { vec![directions, width] } else { vec![] };
        [
            by_batch(self.steps, self.features).to_vec(),
            vec![directions, gates * hidden, self.features],
            vec![directions, gates * hidden, hidden],
            flat(self.biases, 2 * gates * hidden),
            vec![],
            only(self.initial, by_batch(directions, hidden)),
            only(self.initial && self.is_lstm(), by_batch(directions, hidden)),
            flat(self.kind == Kind::PeepholeLstm, 3 * hidden),
        ]
    }

    /// The outputs that are read, end to end, in f64.
    fn run(&self, inputs: &[Vec<f64>]) -> Vec<f64> {
        let &Layer { steps, batch, hidden, features, .. } = self;
        let (directions, gates) = (self.directions(), self.gates());
        let place = |step: usize, sample: usize, len: usize| match self.batch_first {
            true => sample * len + step,
            false => step * batch + sample,
        };
        let mut y = vec![0.0; steps * directions * batch * hidden];
        let mut last =
            [vec![0.0; directions * batch * hidden], vec![0.0; directions * batch * hidden]];
        let at = |slot: usize, index: usize| inputs[slot].get(index).copied().unwrap_or(0.0);
        for direction in 0..directions {
            for sample in 0..batch {
                let state = |slot: usize| -> Vec<f64> {
                    let first = place(direction, sample, directions) * hidden;
                    (0..hidden).map(|unit| at(slot, first + unit)).collect()
                };
                let (mut h, mut c) = (state(5), state(6));
                for turn in 0..steps {
                    let step = if direction == 1 { steps - 1 - turn } else { turn };
                    let x = &inputs[0][place(step, sample, steps) * features..][..features];
                    let dot = |slot: usize, gate: usize, unit: usize, v: &[f64]| -> f64 {
                        let row = (direction * gates + gate) * hidden + unit;
                        (0..v.len()).map(|k| at(slot, row * v.len() + k) * v[k]).sum()
                    };
                    let bias = |side: usize, gate: usize, unit: usize| {
                        at(3, ((2 * direction + side) * gates + gate) * hidden + unit)
                    };
                    let x_side = |gate, unit| dot(1, gate, unit, x) + bias(0, gate, unit);
                    let before = h.clone();
                    let sum = |gate, unit| {
                        x_side(gate, unit) + dot(2, gate, unit, &before) + bias(1, gate, unit)
                    };
                    let peephole =
                        |gate: usize, unit: usize| at(7, (3 * direction + gate) * hidden + unit);
                    let resets: Vec<f64> = match self.kind {
                        Kind::Gru | Kind::LinearGru => {
                            (0..hidden).map(|unit| sigmoid(sum(1, unit))).collect()
                        }
                        _ => vec![],
                    };
                    for unit in 0..hidden {
                        h[unit] = match self.kind {
                            Kind::Rnn => sum(0, unit).tanh(),
                            Kind::Lstm | Kind::PeepholeLstm => {
                                let i = sigmoid(sum(0, unit) + peephole(0, unit) * c[unit]);
                                let f = sigmoid(sum(2, unit) + peephole(2, unit) * c[unit]);
                                c[unit] = f * c[unit] + i * sum(3, unit).tanh();
                                sigmoid(sum(1, unit) + peephole(1, unit) * c[unit]) * c[unit].tanh()
                            }
                            Kind::Gru | Kind::LinearGru => {
                                let recurrent = if self.kind == Kind::Gru {
                                    let reset: Vec<f64> =
                                        before.iter().zip(&resets).map(|(h, r)| h * r).collect();
                                    dot(2, 2, unit, &reset) + bias(1, 2, unit)
                                } else {
                                    resets[unit] * (dot(2, 2, unit, &before) + bias(1, 2, unit))
                                };
                                let n = (x_side(2, unit) + recurrent).tanh();
                                let z = sigmoid(sum(0, unit));
                                (1.0 - z) * n + z * before[unit]
                            }
                        };
                    }
                    let first = match self.batch_first {
                        true => (sample * steps + step) * directions + direction,
                        false => (step * directions + direction) * batch + sample,
                    };
                    y[first * hidden..][..hidden].copy_from_slice(&h);
                }
                let first = place(direction, sample, directions) * hidden;
                last[0][first..][..hidden].copy_from_slice(&h);
                last[1][first..][..hidden].copy_from_slice(&c);
            }
        }
        let [y_h, y_c] = last;
        let all = [y, y_h, y_c];
        let read = all.into_iter().zip(self.reads()).filter(|(_, read)| *read);
        read.flat_map(|(values, _)| values).collect()
    }

    fn reads(&self) -> [bool; 3] {
        let [y, y_h, y_c] = self.outputs;
        [y, y_h, y_c && self.is_lstm()]
    }

    /// The layer as tract imports it. With `attack_all`, the only input holds all tensors end to end; else it is X,
    /// and `values` has the others.
    fn import(&self, attack_all: bool, values: &[Vec<f64>]) -> TractResult<TypedModel> {
        let shapes = self.shapes();
        let lens: Vec<usize> = values.iter().map(Vec::len).collect();
        let mut nodes = vec![];
        let mut constants = vec![];
        let names: Vec<String> = (0..shapes.len())
            .map(|slot| if shapes[slot].is_empty() { String::new() } else { format!("t{slot}") })
            .collect();
        let present: Vec<usize> =
            (0..shapes.len()).filter(|slot| !shapes[*slot].is_empty()).collect();
        if attack_all {
            let sizes: Vec<i64> = present.iter().map(|slot| lens[*slot] as i64).collect();
            constants.push(ints("sizes", &sizes));
            let flat: Vec<String> = present.iter().map(|slot| format!("flat{slot}")).collect();
            nodes.push(node("Split", &["x".into(), "sizes".into()], &flat, vec![]));
        }
        for &slot in &present {
            let dims: Vec<i64> = shapes[slot].iter().map(|dim| *dim as i64).collect();
            if attack_all || slot == 0 {
                let from = if attack_all { format!("flat{slot}") } else { "x".into() };
                constants.push(ints(&format!("shape{slot}"), &dims));
                let inputs = [from, format!("shape{slot}")];
                nodes.push(node("Reshape", &inputs, &[names[slot].clone()], vec![]));
            } else {
                constants.push(TensorProto {
                    name: names[slot].clone(),
                    dims,
                    data_type: tensor_proto::DataType::Float as i32,
                    float_data: values[slot].iter().map(|value| *value as f32).collect(),
                    ..TensorProto::default()
                });
            }
        }
        let op = match self.kind {
            Kind::Rnn => "RNN",
            Kind::Lstm | Kind::PeepholeLstm => "LSTM",
            Kind::Gru | Kind::LinearGru => "GRU",
        };
        let mut attributes = vec![
            int_attribute("hidden_size", self.hidden as i64),
            int_attribute("layout", self.batch_first.into()),
            AttributeProto {
                name: "direction".into(),
                r#type: attribute_proto::AttributeType::String as i32,
                s: self.direction.into(),
                ..AttributeProto::default()
            },
        ];
        if self.kind == Kind::LinearGru {
            attributes.push(int_attribute("linear_before_reset", 1));
        }
        let outputs: Vec<String> = ["y", "y_h", "y_c"]
            .iter()
            .zip(self.reads())
            .map(|(name, read)| if read { (*name).into() } else { String::new() })
            .collect();
        nodes.push(node(op, &names, &outputs, attributes));
        constants.push(ints("all", &[-1]));
        let read: Vec<&String> = outputs.iter().filter(|name| !name.is_empty()).collect();
        let flat: Vec<String> = read.iter().map(|name| format!("{name}.flat")).collect();
        for (&name, flat) in read.iter().zip(&flat) {
            nodes.push(node(
                "Reshape",
                &[name.clone(), "all".into()],
                std::slice::from_ref(flat),
                vec![],
            ));
        }
        nodes.push(node("Concat", &flat, &["out".into()], vec![int_attribute("axis", 0)]));
        let len = if attack_all { lens.iter().sum() } else { lens[0] };
        let graph = GraphProto {
            node: nodes,
            initializer: constants,
            input: vec![value("x", &[len])],
            output: vec![value("out", &[])],
            ..GraphProto::default()
        };
        let proto = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 14 }],
            graph: Some(graph),
            ..ModelProto::default()
        };
        onnx()
            .with_ignore_output_shapes(true)
            .model_for_proto_model(&proto)?
            .with_input_fact(0, f32::fact([len]).into())?
            .into_typed()
    }

    fn tensors(&self) -> Vec<Vec<f64>> {
        self.shapes()
            .iter()
            .enumerate()
            .map(|(slot, shape)| {
                let len = if shape.is_empty() { 0 } else { shape.iter().product() };
                let spread = 0.5 + 0.1 * slot as f64;
                let values = values(&[len], -spread, spread);
                // As f32 holds them, for the constants.
                let values = values.to_plain_array_view::<f64>().unwrap().to_owned();
                values.iter().map(|value| f64::from(*value as f32)).collect()
            })
            .collect()
    }

    /// Attacks every tensor, then X alone, with constant weights.
    fn check(&self) {
        let tensors = self.tensors();
        let all: Vec<f64> = tensors.concat();
        check_against(
            |_| self.import(true, &tensors),
            &[tensor1(&all)],
            EXACT,
            |inputs| {
                let mut rest = &inputs[0][..];
                let mut cut = vec![];
                for tensor in &tensors {
                    let (head, tail) = rest.split_at(tensor.len());
                    cut.push(head.to_vec());
                    rest = tail;
                }
                self.run(&cut)
            },
        );
        self.check_input();
    }

    fn check_input(&self) {
        let tensors = self.tensors();
        check_against(
            |_| self.import(false, &tensors),
            &[tensor1(&tensors[0])],
            EXACT,
            |inputs| {
                let mut tensors = tensors.clone();
                tensors[0].clone_from(&inputs[0]);
                self.run(&tensors)
            },
        );
    }
}

fn node(
    op: &str,
    inputs: &[String],
    outputs: &[String],
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: format!("{op}.{}", outputs.concat()),
        op_type: op.into(),
        input: inputs.to_vec(),
        output: outputs.to_vec(),
        attribute,
        ..NodeProto::default()
    }
}

fn int_attribute(name: &str, i: i64) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Int as i32;
    AttributeProto { name: name.into(), r#type, i, ..AttributeProto::default() }
}

fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: tensor_proto::DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn value(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = |dim: &usize| Dimension {
        value: Some(dimension::Value::DimValue(*dim as i64)),
        ..Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: tensor_proto::DataType::Float as i32,
        shape: (!dims.is_empty()).then(|| TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    let r#type =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

#[test]
fn layers_in_every_direction() {
    for kind in KINDS {
        for direction in ["forward", "bidirectional"] {
            Layer { kind, direction, ..LAYER }.check();
        }
    }
}

#[test]
fn one_step_and_one_sample() {
    for kind in KINDS {
        for (steps, batch) in [(1, 1), (1, 2), (4, 1)] {
            Layer { kind, steps, batch, direction: "bidirectional", ..LAYER }.check();
            Layer { kind, steps, batch, ..LAYER }.check();
        }
    }
}

#[test]
fn without_biases_or_initial_states() {
    for kind in KINDS {
        // Without Y_c: tract 0.23.9 cannot run a batch of LSTMs that start from nothing and give it.
        let outputs = [true, true, false];
        Layer { kind, biases: false, initial: false, outputs, ..LAYER }.check();
        Layer { kind, biases: false, initial: false, batch: 1, ..LAYER }.check();
    }
}

#[test]
fn each_output_alone() {
    for kind in KINDS {
        for slot in 0..3 {
            let mut outputs = [false; 3];
            outputs[slot] = true;
            let layer = Layer { kind, outputs, ..LAYER };
            if layer.reads().contains(&true) {
                layer.check();
            }
        }
    }
}

#[test]
fn samples_before_steps() {
    for kind in KINDS {
        Layer { kind, batch_first: true, ..LAYER }.check();
    }
}

#[test]
fn a_gru_that_tract_runs_whole() {
    // Above 64 units, the input's product stands before it.
    for hidden in [2, 65] {
        let layer =
            Layer { kind: Kind::LinearGru, hidden, steps: 4, batch: 1, features: 2, ..LAYER };
        let model = layer.import(false, &layer.tensors()).unwrap().into_decluttered().unwrap();
        let loops = model.nodes().iter().filter_map(|node| node.op_as::<GruSeq>());
        assert_eq!(loops.map(|op| op.projected).collect::<Vec<_>>(), [hidden > 64]);
    }
    Layer { kind: Kind::LinearGru, hidden: 65, steps: 4, batch: 1, features: 1, ..LAYER }
        .check_input();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_layer(
        kind in prop::sample::select(&KINDS[..]),
        direction in prop::sample::select(&["forward", "bidirectional"][..]),
        (steps, batch, features, hidden) in (1..6_usize, 1..4_usize, 1..4_usize, 1..4_usize),
        biases: bool,
        initial: bool,
        outputs in prop::sample::select(&[[true, true, true], [true, false, false], [false, true, false]][..]),
    ) {
        prop_assume!(initial || batch == 1 || !outputs[2]);
        let layer = Layer {
            kind, direction, steps, batch, features, hidden, biases, initial, outputs, batch_first: false,
        };
        layer.check();
    }
}
