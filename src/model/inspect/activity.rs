//! What the units of a network do on some samples.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::{Max, Tanh};
use tract_onnx::tract_core::ops::nn::Sigmoid;

use super::{Inspector, Interface, NodeRef};
use crate::error::{Error, Result};
use crate::grad::{self, StraightThrough};
use crate::model::Batch;
use crate::model::guard::guard;

/// How near to an end of its range a sigmoid or tanh is saturated.
const END: f64 = 1e-3;

/// What kind of unit a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// max(x, 0).
    Relu,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
    /// tanh(x).
    Tanh,
}

/// What the units of a node do on some samples.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitUse {
    /// The node.
    pub node: NodeRef,
    /// The kind of its units.
    pub kind: UnitKind,
    /// How many units it has.
    pub units: usize,
    /// Of rectifiers, the share that is 0 on every sample; of the others, the share of all values (units times samples)
    /// within 0.001 of an end of their range. No gradient to speak of passes there.
    pub idle: f64,
}

/// The values that enter the first linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The layer.
    pub node: NodeRef,
    /// The least value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub std: f64,
}

/// What a network does on some samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Activity {
    /// Every node with units that can saturate, in the order of evaluation.
    pub units: Vec<UnitUse>,
    /// What enters the first linear layer; none in a graph without one.
    pub entry: Option<Entry>,
}

impl Inspector<'_> {
    /// Looks at the activations of samples: one forward pass each, through a plan that keeps them.
    ///
    /// # Errors
    /// [`Error::Data`] when the batch is not one or more samples; [`Error::Model`] when the model cannot be run.
    pub fn activity(&self, batch: Batch<'_>) -> Result<Activity> {
        let samples = self.samples_in(batch)?;
        let graph = &self.model.runner.graph;
        let (model, _) = graph.forward(1)?;
        let fail =
            |cause: TractError| Error::model(&graph.name, "its activations cannot be read", cause);
        let watch =
            guard(|| Watch::new(self.model.interface(), &graph.through, model)).map_err(fail)?;
        let seen: Vec<TractResult<Vec<Tally>>> = (0..samples)
            .into_par_iter()
            .map(|row| guard(|| watch.run(self.inputs(batch, row)?)))
            .collect();
        let mut total: Option<Vec<Tally>> = None;
        for tallies in seen {
            let tallies = tallies.map_err(fail)?;
            match &mut total {
                None => total = Some(tallies),
                Some(total) => {
                    total.iter_mut().zip(tallies).for_each(|(total, tally)| total.add(tally));
                }
            }
        }
        Ok(watch.activity(&total.unwrap_or_default(), samples))
    }
}

/// What is asked of a tensor.
#[derive(Clone, Copy, Debug)]
enum Question {
    Units(UnitKind),
    Entry,
}

/// A plan whose outputs are activations.
struct Watch {
    plan: Arc<TypedRunnableModel>,
    asked: Vec<(NodeRef, Question)>,
}

/// What was counted of one tensor.
#[derive(Clone, Debug)]
enum Tally {
    /// Whether each unit was 0 on every sample so far.
    Dead(Vec<bool>),
    /// Values near an end, and all values.
    Ends { near: usize, all: usize },
    /// Number, sum, sum of squares, least and largest.
    Moments { count: usize, sum: f64, squares: f64, min: f64, max: f64 },
}

impl Watch {
    fn new(
        interface: &Interface,
        through: &StraightThrough,
        mut model: TypedModel,
    ) -> TractResult<Self> {
        let (output, input) = (model.output_outlets()?[0], model.input_outlets()?[0]);
        let (mut asked, mut outlets) = (vec![], vec![]);
        let between = grad::statuses(&model, output, input, through)?;
        let depends: Vec<usize> =
            std::iter::once(input.node).chain(between.iter().map(|(id, _)| *id)).collect();
        let mut entered = false;
        for (id, _) in between {
            let node = model.node(id);
            if let Some(kind) = kind(&model, node) {
                asked.push((NodeRef::new(interface, node), Question::Units(kind)));
                outlets.push(OutletId::new(id, 0));
            }
            let linear = node.op_is::<Conv>() || node.op_is::<Deconv>() || node.op_is::<EinSum>();
            if linear && !entered {
                entered = true;
                let entry = node.inputs.iter().find(|parent| depends.contains(&parent.node));
                if let Some(entry) = entry {
                    asked.push((NodeRef::new(interface, node), Question::Entry));
                    outlets.push(*entry);
                }
            }
        }
        model.select_output_outlets(&outlets)?;
        let plan = model.into_decluttered()?.into_optimized()?.into_runnable()?;
        Ok(Self { plan, asked })
    }

    fn run(&self, inputs: TVec<TValue>) -> TractResult<Vec<Tally>> {
        if self.asked.is_empty() {
            return Ok(vec![]);
        }
        let outputs = self.plan.run(inputs)?;
        outputs.iter().zip(&self.asked).map(|(values, (_, asked))| tally(values, *asked)).collect()
    }

    fn activity(&self, tallies: &[Tally], samples: usize) -> Activity {
        let mut activity = Activity::default();
        for ((node, asked), tally) in self.asked.iter().zip(tallies) {
            let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
            let (units, idle) = match tally {
                Tally::Dead(dead) => {
                    (dead.len(), share(dead.iter().filter(|dead| **dead).count(), dead.len()))
                }
                Tally::Ends { near, all } => (all / samples, share(*near, *all)),
                Tally::Moments { count, sum, squares, min, max } => {
                    let n = (*count).max(1) as f64;
                    let mean = sum / n;
                    let std = (squares / n - mean * mean).max(0.0).sqrt();
                    activity.entry =
                        Some(Entry { node: node.clone(), min: *min, max: *max, mean, std });
                    continue;
                }
            };
            if let Question::Units(kind) = *asked {
                activity.units.push(UnitUse { node: node.clone(), kind, units, idle });
            }
        }
        activity
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Dead(dead), Self::Dead(other)) => {
                dead.iter_mut().zip(other).for_each(|(dead, other)| *dead &= other);
            }
            (Self::Ends { near, all }, Self::Ends { near: more, all: of }) => {
                *near += more;
                *all += of;
            }
            (
                Self::Moments { count, sum, squares, min, max },
                Self::Moments { count: c, sum: s, squares: q, min: least, max: most },
            ) => {
                *count += c;
                *sum += s;
                *squares += q;
                *min = min.min(least);
                *max = max.max(most);
            }
            _ => {}
        }
    }
}

fn tally(values: &Tensor, asked: Question) -> TractResult<Tally> {
    let values = values.cast_to::<f64>()?;
    let values = values.to_plain_array_view::<f64>()?;
    Ok(match asked {
        Question::Units(UnitKind::Relu) => {
            Tally::Dead(values.iter().map(|value| *value <= 0.0).collect())
        }
        Question::Units(kind) => {
            let low = if kind == UnitKind::Tanh { -1.0 } else { 0.0 };
            let near = |value: &&f64| **value <= low + END || **value >= 1.0 - END;
            Tally::Ends { near: values.iter().filter(near).count(), all: values.len() }
        }
        Question::Entry => Tally::Moments {
            count: values.len(),
            sum: values.iter().sum(),
            squares: values.iter().map(|value| value * value).sum(),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        },
    })
}

fn kind(model: &TypedModel, node: &TypedNode) -> Option<UnitKind> {
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        let tanh = op.0.is::<Tanh>().then_some(UnitKind::Tanh);
        return tanh.or_else(|| op.0.is::<Sigmoid>().then_some(UnitKind::Sigmoid));
    }
    let is_max = node.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Max>());
    (is_max && node.inputs.iter().any(|parent| is_zero(model, *parent))).then_some(UnitKind::Relu)
}

fn is_zero(model: &TypedModel, outlet: OutletId) -> bool {
    let constant = model.outlet_fact(outlet).ok().and_then(|fact| fact.konst.as_deref());
    constant.and_then(|constant| constant.cast_to::<f64>().ok()).is_some_and(|constant| {
        constant.to_plain_array_view::<f64>().is_ok_and(|view| view.iter().all(|v| *v == 0.0))
    })
}
