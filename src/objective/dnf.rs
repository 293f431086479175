//! Alternatives of linear conditions: what VNN-LIB properties say of outputs.

use serde::{Deserialize, Serialize};

use super::Objective;
use super::kind::expect_output;
use crate::error::{Error, Result};

/// A disjunction of conjunctions of linear conditions on the outputs: one list of terms must be 0 or more in every term.
///
/// An alternative's value is its smallest term, whose gradient it has (the first of equals); a value of exactly 0 counts as
/// positive, as a condition `>= 0` is met by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dnf {
    /// The alternatives, each a list of terms that must hold together.
    pub any: Vec<Vec<Term>>,
}

/// The condition `sum coefficient * y_output + constant >= 0`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Outputs, from 0, with their coefficients.
    pub coefficients: Vec<(usize, f64)>,
    /// What is added.
    pub constant: f64,
}

impl Term {
    fn value(&self, outputs: &[f32]) -> f64 {
        let products = self.coefficients.iter().map(|&(i, factor)| factor * f64::from(outputs[i]));
        products.sum::<f64>() + self.constant
    }
}

impl Objective for Dnf {
    fn name(&self) -> String {
        let sizes: Vec<String> = self.any.iter().map(|terms| terms.len().to_string()).collect();
        format!("any of {} alternatives of {} linear terms", sizes.len(), sizes.join(", "))
    }

    fn alternatives(&self, outputs: usize) -> Result<usize> {
        if self.any.is_empty() || self.any.iter().any(Vec::is_empty) {
            let expected = "expected one alternative or more, each of one term or more";
            return Err(Error::parameter("any", "empty", expected));
        }
        for term in self.any.iter().flatten() {
            for &(output, factor) in &term.coefficients {
                expect_output(output, outputs)?;
                if !factor.is_finite() {
                    return Err(Error::parameter(
                        "coefficients",
                        factor,
                        "expected finite numbers",
                    ));
                }
            }
            if !term.constant.is_finite() {
                let expected = "expected a finite number";
                return Err(Error::parameter("constant", term.constant, expected));
            }
        }
        Ok(self.any.len())
    }

    fn value_and_gradient(
        &self,
        alternative: usize,
        outputs: &[f32],
        _: &[f32],
        gradient: &mut [f32],
    ) -> f32 {
        gradient.fill(0.0);
        let values = self.any[alternative].iter().map(|term| (term.value(outputs), term));
        let Some((value, term)) = values.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
            return f32::NEG_INFINITY;
        };
        for &(output, factor) in &term.coefficients {
            gradient[output] += factor as f32;
        }
        // A value that is met must not be rounded to one that is not, nor the other way round.
        let rounded = value as f32;
        if value >= 0.0 { rounded.max(f32::MIN_POSITIVE) } else { rounded.min(-f32::MIN_POSITIVE) }
    }
}
