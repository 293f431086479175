//! An output moved away from its value at the clean input.

use serde::{Deserialize, Serialize};

use super::Objective;
use super::kind::expect_output;
use crate::error::{Error, Result};
use crate::parameters::describe;

/// An output more than `by` away from what it is at the clean input: of an output its value is `|y - y_clean| - by`, or
/// without the absolute value where it has to move one way.
///
/// The gradient of `|d|` at d = 0 is 0, so that an attack from the clean input begins with a random step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moved {
    /// Which output, from 0; any one of them when none is given.
    pub output: Option<usize>,
    /// How far, in the units of the output, 0 or more.
    pub by: f64,
    /// Which way.
    pub way: Way,
}

/// Which way an output has to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Up or down.
    #[default]
    Either,
    /// To larger values.
    Up,
    /// To smaller values.
    Down,
}

impl Default for Moved {
    fn default() -> Self {
        Self { output: None, by: 1.0, way: Way::Either }
    }
}

impl Objective for Moved {
    fn name(&self) -> String {
        describe("moved", self)
    }

    fn needs_clean(&self) -> bool {
        true
    }

    fn alternatives(&self, outputs: usize) -> Result<usize> {
        if !(self.by.is_finite() && self.by >= 0.0) {
            return Err(Error::parameter("by", self.by, "expected a finite number >= 0"));
        }
        match self.output {
            Some(output) => expect_output(output, outputs).map(|()| 1),
            None => Ok(outputs),
        }
    }

    fn value_and_gradient(
        &self,
        alternative: usize,
        outputs: &[f32],
        clean: &[f32],
        gradient: &mut [f32],
    ) -> f32 {
        let output = self.output.unwrap_or(alternative);
        let change = f64::from(outputs[output]) - f64::from(clean[output]);
        let slope = match self.way {
            Way::Up => 1.0,
            Way::Down => -1.0,
            Way::Either if change == 0.0 => 0.0,
            Way::Either => change.signum(),
        };
        gradient.fill(0.0);
        gradient[output] = slope as f32;
        (change * slope - self.by) as f32
    }
}
