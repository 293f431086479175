//! A user's own function.

use std::fmt;

use super::Objective;
use crate::error::Result;

/// An objective from a function of outputs, outputs at the clean input, and the gradient to write: see [`function`].
pub struct Function<F> {
    name: String,
    function: F,
}

/// An objective from a function: `function(outputs, clean, gradient)` returns the value and writes its gradient with
/// respect to the outputs. `clean` holds the outputs at the clean input.
///
/// ```
/// use ironbound::objective::{Objective, function};
///
/// // The first output more than twice the second.
/// let objective = function("double", |y, _, gradient| {
///     gradient[..2].copy_from_slice(&[1.0, -2.0]);
///     y[0] - 2.0 * y[1]
/// });
/// let mut gradient = [0.0; 2];
/// assert_eq!(objective.value_and_gradient(0, &[5.0, 2.0], &[], &mut gradient), 1.0);
/// ```
pub fn function<F>(name: impl Into<String>, function: F) -> Function<F>
where
    F: Fn(&[f32], &[f32], &mut [f32]) -> f32 + Send + Sync,
{
    Function { name: name.into(), function }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<F> Objective for Function<F>
where
    F: Fn(&[f32], &[f32], &mut [f32]) -> f32 + Send + Sync,
{
    fn name(&self) -> String {
        self.name.clone()
    }

    fn needs_clean(&self) -> bool {
        true
    }

    fn alternatives(&self, _: usize) -> Result<usize> {
        Ok(1)
    }

    fn value_and_gradient(
        &self,
        _: usize,
        outputs: &[f32],
        clean: &[f32],
        gradient: &mut [f32],
    ) -> f32 {
        gradient.fill(0.0);
        (self.function)(outputs, clean, gradient)
    }
}
