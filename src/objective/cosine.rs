//! The direction of an embedding.

use serde::{Deserialize, Serialize};

use super::Objective;
use crate::error::{Error, Result};
use crate::parameters::describe;

/// The cosine of the angle between the outputs and those at the clean input under `below`: its value is
/// `below - cos(y, y_clean)`. Outputs of length 0 have the cosine 0 and no gradient.
///
/// The gradient is zero at the clean input, so that an attack from there begins with a random step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// The cosine, from -1 to 1.
    pub below: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self { below: 0.5 }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

impl Objective for Cosine {
    fn name(&self) -> String {
        describe("cosine", self)
    }

    fn needs_clean(&self) -> bool {
        true
    }

    fn alternatives(&self, outputs: usize) -> Result<usize> {
        if !(-1.0..=1.0).contains(&self.below) {
            return Err(Error::parameter("below", self.below, "expected a cosine, from -1 to 1"));
        }
        if outputs < 2 {
            let expected = "a model with two outputs or more: a single one has no direction";
            return Err(Error::parameter("objective", "cosine", expected));
        }
        Ok(1)
    }

    fn value_and_gradient(
        &self,
        _: usize,
        outputs: &[f32],
        clean: &[f32],
        gradient: &mut [f32],
    ) -> f32 {
        let (squares, clean_squares) = (dot(outputs, outputs), dot(clean, clean));
        let lengths = (squares * clean_squares).sqrt();
        if lengths == 0.0 {
            gradient.fill(0.0);
            return self.below as f32;
        }
        let cosine = dot(outputs, clean) / lengths;
        for (g, (&y, &c)) in gradient.iter_mut().zip(outputs.iter().zip(clean)) {
            *g = (cosine * f64::from(y) / squares - f64::from(c) / lengths) as f32;
        }
        (self.below - cosine) as f32
    }
}
