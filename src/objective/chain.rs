//! A loss over an objective's values, as a loss over the outputs.

use std::sync::Arc;

use super::Objective;
use crate::goal::Aim;
use crate::loss::Loss;

/// `loss([0, f_1(y), f_2(y), ...])` for the objective's values f.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) objective: &'a Arc<dyn Objective>,
    pub(super) alternatives: usize,
    /// The outputs at the clean input, where the objective needs them.
    pub(super) clean: &'a [f32],
}

impl Chain<'_> {
    /// Writes `[0, f_1(y), f_2(y), ...]`.
    pub(super) fn scores(&self, outputs: &[f32], scores: &mut Vec<f32>) {
        let mut unused = vec![0.0; outputs.len()];
        scores.push(0.0);
        for alternative in 0..self.alternatives {
            let value =
                self.objective.value_and_gradient(alternative, outputs, self.clean, &mut unused);
            scores.push(value);
        }
    }

    fn loss_of(&self, loss: &dyn Loss, aim: Aim, outputs: &[f32], gradient: &mut [f32]) -> f32 {
        let mut scores = Vec::with_capacity(1 + self.alternatives);
        self.scores(outputs, &mut scores);
        let mut slopes = vec![0.0; scores.len()];
        let value = loss.value_and_gradient(&scores, aim, &mut slopes);
        gradient.fill(0.0);
        let mut part = vec![0.0; outputs.len()];
        for (alternative, &slope) in
            slopes[1..].iter().enumerate().filter(|(_, slope)| **slope != 0.0)
        {
            self.objective.value_and_gradient(alternative, outputs, self.clean, &mut part);
            gradient.iter_mut().zip(&part).for_each(|(g, part)| *g += slope * part);
        }
        value
    }
}

/// The same for one aim, to hand to a model.
#[derive(Debug)]
pub(super) struct Aimed {
    pub(super) objective: Arc<dyn Objective>,
    pub(super) alternatives: usize,
    pub(super) clean: Vec<f32>,
    pub(super) loss: Arc<dyn Loss>,
    pub(super) aim: Aim,
}

impl Loss for Aimed {
    fn name(&self) -> &str {
        self.loss.name()
    }

    fn min_classes(&self) -> usize {
        1
    }

    fn value_and_gradient(&self, outputs: &[f32], _: Aim, gradient: &mut [f32]) -> f32 {
        let Self { objective, alternatives, clean, loss, aim } = self;
        let chain = Chain { objective, alternatives: *alternatives, clean };
        chain.loss_of(&**loss, *aim, outputs, gradient)
    }
}
