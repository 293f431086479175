//! An output beyond a threshold.

use serde::{Deserialize, Serialize};

use super::Objective;
use super::kind::expect_output;
use crate::error::Result;
use crate::parameters::describe;

/// Output `output` above `value`: its value is `y_output - value`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Above {
    /// Which output, from 0.
    pub output: usize,
    /// The threshold, in the units of the output.
    pub value: f64,
}

/// Output `output` below `value`: its value is `value - y_output`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Below {
    /// Which output, from 0.
    pub output: usize,
    /// The threshold, in the units of the output.
    pub value: f64,
}

/// `sign * (y_output - threshold)`.
fn beyond(sign: f32, output: usize, threshold: f64, outputs: &[f32], gradient: &mut [f32]) -> f32 {
    gradient.fill(0.0);
    gradient[output] = sign;
    sign * (f64::from(outputs[output]) - threshold) as f32
}

impl Objective for Above {
    fn name(&self) -> String {
        describe("above", self)
    }

    fn alternatives(&self, outputs: usize) -> Result<usize> {
        expect_output(self.output, outputs).map(|()| 1)
    }

    fn value_and_gradient(
        &self,
        _: usize,
        outputs: &[f32],
        _: &[f32],
        gradient: &mut [f32],
    ) -> f32 {
        beyond(1.0, self.output, self.value, outputs, gradient)
    }
}

impl Objective for Below {
    fn name(&self) -> String {
        describe("below", self)
    }

    fn alternatives(&self, outputs: usize) -> Result<usize> {
        expect_output(self.output, outputs).map(|()| 1)
    }

    fn value_and_gradient(
        &self,
        _: usize,
        outputs: &[f32],
        _: &[f32],
        gradient: &mut [f32],
    ) -> f32 {
        beyond(-1.0, self.output, self.value, outputs, gradient)
    }
}
