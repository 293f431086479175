//! How a file is loaded: which tensors, which shape, which preprocessing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What to attack in a model file and what stands in front of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOptions {
    /// The attacked input, the first that holds floats when none is given; or an inner tensor, such as the embedding of
    /// tokens, which is computed from the data and then attacked in their place.
    pub input: Option<String>,
    /// The output with one score per class, or an inner tensor; the only or first output when none is given. Where it
    /// holds labels, the scores that they were read out of are attacked.
    pub output: Option<String>,
    /// The outputs or inner tensors whose values an [objective](crate::Objective) looks at, one after the other; the output
    /// above when the list is empty. They are left as they are: no final activation is bypassed, a single value stays one, and
    /// the model is no classifier. None by default.
    pub outputs: Option<Vec<String>>,
    /// The shape of one sample, without the batch axis; needed where the file leaves it open.
    pub input_shape: Option<Vec<usize>>,
    /// How many samples a plan takes at a time. When none is given: sixteen, for graphs with convolutions as many as have 32 768
    /// values together, a power of two.
    pub plan_batch: Option<usize>,
    /// The value of other inputs, by name, where it is the same for all samples: one number for all elements, or one for
    /// each. Inputs that are not named here take an array of the data set with their name.
    pub constants: BTreeMap<String, Vec<f64>>,
    /// What rounds, but is differentiated as if it did not (the straight-through estimator, for gradients that rounding
    /// makes zero): operators of ONNX such as `Sign` or `QuantizeLinear`, names of nodes, or `all`. None by default:
    /// gradients are exact. The logits are the same either way.
    ///
    /// `Round`, `Floor`, `Ceil` and `Cast` pass a gradient as it is; `Sign` as it is where its operand x lies in
    /// [-1, 1], and divided by x² elsewhere; `QuantizeLinear`, `DynamicQuantizeLinear`, `QLinearConv` and
    /// `QLinearMatMul` pass what they would without rounding, and nothing where their result is clipped. Comparisons,
    /// `ArgMax` and the like cannot be passed.
    pub straight_through: Vec<String>,
    /// What happens to the data before the model sees them.
    pub preprocessing: Preprocessing,
}

/// Preprocessing in front of the graph, so that budgets are in the units of the data:
/// reorder the channels, `x * scale`, then `(x - mean) / std` per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocessing {
    /// The factor on every value, 1 by default.
    pub scale: f32,
    /// One mean per channel (in the model's channel order), or one for all; none by default.
    pub mean: Vec<f32>,
    /// One standard deviation per channel (in the model's channel order), or one for all; none by default.
    pub std: Vec<f32>,
    /// Whether the channels are reversed: data in RGB for a model in BGR, or the other way round.
    pub reverse_channels: bool,
    /// The axis of one sample that holds the channels; found from the lengths of `mean` and `std` when none is given.
    pub channel_axis: Option<usize>,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self { scale: 1.0, mean: vec![], std: vec![], reverse_channels: false, channel_axis: None }
    }
}

impl Preprocessing {
    /// Checks the numbers and finds the channel axis of samples of this shape, if one is needed.
    ///
    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(super) fn channel_axis(&self, shape: &[usize]) -> Result<Option<usize>> {
        if !(self.scale.is_finite() && self.scale != 0.0) {
            return Err(Error::parameter(
                "scale",
                self.scale,
                "expected a finite number other than 0",
            ));
        }
        if let Some(bad) = self.mean.iter().find(|mean| !mean.is_finite()) {
            return Err(Error::parameter("mean", bad, "expected finite numbers"));
        }
        if let Some(bad) = self.std.iter().find(|std| !(std.is_finite() && **std > 0.0)) {
            return Err(Error::parameter("std", bad, "expected numbers > 0"));
        }
        let channels = self.mean.len().max(self.std.len());
        for (field, values) in [("mean", &self.mean), ("std", &self.std)] {
            if !values.is_empty() && values.len() != 1 && values.len() != channels {
                let expected = format!("expected 1 or {channels} numbers, as in the other list");
                return Err(Error::parameter(field, format!("{} numbers", values.len()), expected));
            }
        }
        if channels <= 1 && !self.reverse_channels {
            return Ok(None);
        }
        self.find_axis(shape, (channels > 1).then_some(channels)).map(Some)
    }

    fn find_axis(&self, shape: &[usize], channels: Option<usize>) -> Result<usize> {
        if let Some(axis) = self.channel_axis {
            return match shape.get(axis) {
                Some(len) if channels.is_none_or(|channels| channels == *len) => Ok(axis),
                Some(len) => Err(Error::parameter(
                    "channel_axis",
                    axis,
                    format!(
                        "that axis of {shape:?} has length {len}, the lists have {}",
                        channels.unwrap_or(0)
                    ),
                )),
                None => Err(Error::parameter(
                    "channel_axis",
                    axis,
                    format!("expected an axis of one sample, {shape:?}"),
                )),
            };
        }
        let fits =
            |axis: &usize| channels.map_or(matches!(shape[*axis], 3 | 4), |n| shape[*axis] == n);
        let ends = if shape.len() == 1 { vec![0] } else { vec![0, shape.len().saturating_sub(1)] };
        let candidates: Vec<usize> =
            ends.into_iter().filter(|axis| *axis < shape.len()).filter(fits).collect();
        match candidates[..] {
            [axis] => Ok(axis),
            _ => Err(Error::parameter(
                "channel_axis",
                "not given",
                format!(
                    "one sample has shape {shape:?}: {} axis holds {} channels; name it",
                    if candidates.is_empty() {
                        "neither its first nor its last"
                    } else {
                        "more than one"
                    },
                    channels.map_or("the".into(), |n| n.to_string()),
                ),
            )),
        }
    }
}
