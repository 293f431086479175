//! The losses that an attacker maximises, per sample, over logits.

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::goal::Aim;

/// A per-sample objective over logits that the attacker *maximises*.
///
/// Implement it for an objective of your own: the crate differentiates the model up to the logits and
/// asks the loss for the rest.
pub trait Loss: Debug + Send + Sync {
    /// The name that reports print.
    fn name(&self) -> &str;

    /// How many classes a model must have for the loss to be defined, towards a target or away from the label; 2 by
    /// default.
    fn classes_needed(&self, targeted: bool) -> usize {
        let _ = targeted;
        2
    }

    /// The loss at one sample's logits; writes d loss / d logits into `gradient` (same length).
    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32;
}

/// The losses that come with the crate, and the place for one's own.
///
/// Serializes as its loss's name; a loss of one's own does not deserialize.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LossKind {
    /// [`CrossEntropy`].
    #[default]
    CrossEntropy,
    /// [`Margin`].
    Margin,
    /// A loss of one's own.
    #[serde(skip)]
    Custom(Arc<dyn Loss>),
}

impl LossKind {
    /// The loss itself.
    #[must_use]
    pub fn loss(&self) -> Arc<dyn Loss> {
        match self {
            Self::CrossEntropy => Arc::new(CrossEntropy),
            Self::Margin => Arc::new(Margin),
            Self::Custom(loss) => Arc::clone(loss),
        }
    }
}

impl Serialize for LossKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.loss().name())
    }
}

/// Cross-entropy from logits by log-sum-exp: `lse(z) - z_label`; towards a target, `z_target - lse(z)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy;

impl Loss for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        let weight = |z: f32| (f64::from(z) - f64::from(largest)).exp();
        let own = weight(logits[pivot]);
        let mut rest = 0.0;
        for (class, (g, &z)) in gradient.iter_mut().zip(logits).enumerate() {
            if class != pivot {
                let weight = weight(z);
                *g = weight as f32;
                rest += weight;
            }
        }
        // Not 1 - p, which is 0 in floating point long before the other classes' share is.
        let scale = sign / (own + rest);
        gradient.iter_mut().for_each(|g| *g = (scale * f64::from(*g)) as f32);
        gradient[pivot] = (-scale * rest) as f32;
        let gap = f64::from(largest) - f64::from(logits[pivot]);
        (sign * if gap > 0.0 { (own + rest).ln() + gap } else { rest.ln_1p() }) as f32
    }
}

/// The C&W margin: largest other logit minus the label's; towards a target, the target's minus the largest other.
///
/// Carlini & Wagner 2017, f6, <https://doi.org/10.1109/SP.2017.49>. The first maximum takes the gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Margin;

impl Loss for Margin {
    fn name(&self) -> &'static str {
        "margin"
    }

    fn value_and_gradient(&self, logits: &[f32], aim: Aim, gradient: &mut [f32]) -> f32 {
        let (pivot, sign) = aim.target.map_or((aim.label, 1.0), |target| (target, -1.0));
        let mut rival = usize::from(pivot == 0);
        for (class, z) in logits.iter().enumerate() {
            if class != pivot && *z > logits[rival] {
                rival = class;
            }
        }
        gradient.fill(0.0);
        gradient[rival] = sign;
        gradient[pivot] = -sign;
        sign * (logits[rival] - logits[pivot])
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the values are exact")]
mod tests {
    use super::*;

    const LOSSES: [&dyn Loss; 2] = [&CrossEntropy, &Margin];

    fn evaluate(loss: &dyn Loss, logits: &[f32], aim: Aim) -> (f32, Vec<f32>) {
        let mut gradient = vec![f32::NAN; logits.len()];
        let value = loss.value_and_gradient(logits, aim, &mut gradient);
        (value, gradient)
    }

    fn aims(classes: usize) -> impl Iterator<Item = Aim> {
        (0..classes).flat_map(move |label| {
            let others = (0..classes).filter(move |&target| target != label);
            others.map(move |target| Aim::targeted(label, target)).chain([Aim::untargeted(label)])
        })
    }

    #[test]
    fn gradients_agree_with_differences() {
        for logits in [vec![0.3, -1.2], vec![1.5, 0.2, -0.7, 0.9], vec![-5.0, -4.0, -4.5]] {
            for (loss, aim) in
                LOSSES.iter().flat_map(|loss| aims(logits.len()).map(move |aim| (loss, aim)))
            {
                let (_, gradient) = evaluate(*loss, &logits, aim);
                for (class, g) in gradient.iter().enumerate() {
                    let moved = |by: f32| {
                        let mut logits = logits.clone();
                        logits[class] += by;
                        evaluate(*loss, &logits, aim).0
                    };
                    let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                    assert!(
                        (g - difference).abs() < 1e-3,
                        "{} {aim:?} {class}: {g} {difference}",
                        loss.name()
                    );
                }
                assert!(
                    gradient.iter().sum::<f32>().abs() < 1e-6,
                    "shifting all logits changes nothing"
                );
            }
        }
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        for logits in [[1e4, -1e4, 0.0], [f32::MAX, f32::MIN, 0.0], [-1e4, -1e4, -1e4]] {
            for (loss, aim) in LOSSES.iter().flat_map(|loss| aims(3).map(move |aim| (loss, aim))) {
                let (value, gradient) = evaluate(*loss, &logits, aim);
                assert!(
                    !value.is_nan() && gradient.iter().all(|g| g.is_finite()),
                    "{} {logits:?} {aim:?}",
                    loss.name()
                );
            }
        }
        assert_eq!(evaluate(&CrossEntropy, &[1e4, -1e4, 0.0], Aim::untargeted(1)).0, 2e4);
    }

    #[test]
    fn a_confident_model_keeps_its_gradient() {
        let (value, gradient) = evaluate(&CrossEntropy, &[50.0, 0.0, 0.0], Aim::untargeted(0));
        let share = 2.0 * (-50.0_f32).exp();
        assert!((value / share - 1.0).abs() < 1e-5, "{value}");
        assert!((gradient[0] / -share - 1.0).abs() < 1e-5, "{gradient:?}");
        assert!((gradient[1] / share - 0.5).abs() < 1e-5, "{gradient:?}");
    }

    #[test]
    fn a_loss_rises_towards_its_aim() {
        for loss in LOSSES {
            let away = [
                evaluate(loss, &[2.0, 1.0], Aim::untargeted(0)).0,
                evaluate(loss, &[1.0, 2.0], Aim::untargeted(0)).0,
            ];
            let towards = [
                evaluate(loss, &[2.0, 1.0], Aim::targeted(0, 1)).0,
                evaluate(loss, &[1.0, 2.0], Aim::targeted(0, 1)).0,
            ];
            assert!(away[0] < away[1] && towards[0] < towards[1], "{}", loss.name());
        }
    }

    #[test]
    fn the_first_of_equal_rivals_takes_the_margins_gradient() {
        assert_eq!(
            evaluate(&Margin, &[1.0, -3.0, -3.0], Aim::untargeted(0)),
            (-4.0, vec![-1.0, 1.0, 0.0])
        );
        assert_eq!(
            evaluate(&Margin, &[1.0, 1.0, -3.0], Aim::targeted(0, 2)),
            (-4.0, vec![-1.0, 0.0, 1.0])
        );
        assert_eq!(evaluate(&Margin, &[2.0, 2.0], Aim::untargeted(1)), (0.0, vec![1.0, -1.0]));
    }

    #[test]
    fn names_are_what_configuration_files_say() {
        for kind in [LossKind::CrossEntropy, LossKind::Margin] {
            let name = serde_json::to_value(&kind).unwrap();
            let read: LossKind = serde_json::from_value(name.clone()).unwrap();
            assert_eq!(name, read.loss().name());
        }
        let own = LossKind::Custom(Arc::new(Margin));
        assert_eq!(serde_json::to_value(own).unwrap(), "margin");
    }
}
