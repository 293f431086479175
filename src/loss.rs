//! The losses that an attacker maximises, per sample, over logits.

mod cross_entropy;
mod dlr;
mod kl;
mod list;
mod logit;
mod margin;
#[cfg(test)]
mod tests;

pub use cross_entropy::CrossEntropy;
pub use dlr::{Dlr, DlrTargeted};
pub use kl::Kl;
pub(crate) use list::several;
pub use logit::Logit;
pub use margin::Margin;

use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::goal::Aim;

/// A per-sample objective over logits that the attacker *maximises*.
///
/// Implement it for an objective of your own: the crate differentiates the model up to the logits and
/// asks the loss for the rest.
pub trait Loss: Debug + Send + Sync {
    /// The name that reports print.
    fn name(&self) -> &str;

    /// How many classes it needs.
    fn min_classes(&self) -> usize {
        2
    }

    /// Whether it compares with the logits at the clean input. Such a loss is asked for one sample at a time.
    fn needs_clean(&self) -> bool {
        false
    }

    /// The loss of one sample whose logits at the clean input are `clean`, for a loss that [needs](Self::needs_clean)
    /// them; none for others.
    fn at_clean(&self, clean: &[f32]) -> Option<Arc<dyn Loss>> {
        let _ = clean;
        None
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
    #[serde(alias = "ce")]
    CrossEntropy,
    /// [`Dlr`].
    Dlr,
    /// [`DlrTargeted`].
    #[serde(rename = "dlr-t")]
    DlrTargeted,
    /// [`Kl`].
    Kl,
    /// [`Logit`].
    Logit,
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
            Self::Dlr => Arc::new(Dlr),
            Self::DlrTargeted => Arc::new(DlrTargeted),
            Self::Kl => Arc::new(Kl),
            Self::Logit => Arc::new(Logit),
            Self::Margin => Arc::new(Margin),
            Self::Custom(loss) => Arc::clone(loss),
        }
    }
}

/// Checks that a model has as many classes as a loss needs.
///
/// # Errors
/// [`Error::Parameter`].
pub(crate) fn check_classes(loss: &dyn Loss, classes: usize) -> Result<()> {
    let least = loss.min_classes();
    if classes >= least {
        return Ok(());
    }
    let expected = format!("it needs {least} classes or more, the model has {classes}");
    Err(Error::parameter("loss", loss.name(), expected))
}

impl Serialize for LossKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.loss().name())
    }
}
