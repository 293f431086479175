//! Explanations: on which features a score of one sample hangs.
//!
//! An [`Explain`] takes samples, a [method](Explainer) and what is explained: the logit of a class, or its [margin](ScoreKind)
//! over the others. What comes back is a map per sample, in the sample's shape, one number per feature:
//!
//! | name | map |
//! |---|---|
//! | `gradient` | [`InputGradient`]: the score's slope |
//! | `gradient-x-input` | [`GradientTimesInput`]: slope times value |
//! | `integrated-gradients` | [`IntegratedGradients`]: each feature's part of the score's change from a baseline; how far the parts are from adding up is told |
//! | `occlusion` | [`Occlusion`]: how much the score falls where a window is covered |
//! | `smoothgrad` | [`SmoothGrad`]: the mean slope among noisy copies |
//!
//! A map tells of the model, not of the world: it is as good as the gradient is (see [`Preflight`](crate::Preflight)), and
//! methods disagree. [`feature_use()`] tells of attacks: which features the perturbations that succeeded changed most.
//!
//! # Example
//! ```
//! use ironbound::explain::IntegratedGradients;
//! use ironbound::{Dataset, Explain, Model};
//!
//! # fn main() -> ironbound::Result<()> {
//! let model = Model::load("examples/assets/digits_cnn.onnx")?;
//! let data = Dataset::from_npz("examples/assets/digits_test.npz")?;
//! let explained = Explain::new(&model, &data)
//!     .samples([0, 5])
//!     .method(IntegratedGradients { steps: 100, ..IntegratedGradients::default() })
//!     .run()?;
//! let of = &explained.explanations[1];
//! assert_eq!((of.sample, of.map.shape()), (5, &[1, 8, 8][..]));
//! // The parts add up to the change of the score, but for a gap that shrinks with the steps.
//! let parts = of.completeness.unwrap();
//! assert!((of.map.sum() - parts.sum).abs() < 1e-9 && parts.gap().abs() < 0.05 * parts.change.abs());
//! # Ok(())
//! # }
//! ```

mod attribution;
mod baseline;
mod builder;
mod feature_use;
mod gradient;
mod integrated_gradients;
mod method;
mod occlusion;
mod quadrature;
mod score;
mod sketch;
mod smooth_grad;
mod subject;
mod text;

pub use attribution::{Attribution, Completeness, Explanation, Explanations};
pub use baseline::Baseline;
pub use builder::Explain;
pub(crate) use builder::place;
pub use feature_use::{FeatureUse, UsedFeature, feature_use};
pub use gradient::{GradientTimesInput, InputGradient};
pub use integrated_gradients::IntegratedGradients;
pub use method::Method;
pub use occlusion::Occlusion;
pub use quadrature::Rule;
pub use score::{Focus, ScoreKind};
pub use smooth_grad::SmoothGrad;
pub use subject::Subject;

use std::fmt::Debug;

use crate::error::Result;

/// A way of telling on which features a score hangs.
///
/// It asks a [`Subject`] for the score and its gradient anywhere, and gives one number per feature.
pub trait Explainer: Debug + Send + Sync {
    /// The name in the table and in files.
    fn id(&self) -> &'static str;

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Explains the score of one sample.
    ///
    /// # Errors
    /// When the model cannot be run or differentiated, or a parameter does not fit the sample's shape.
    fn attribute(&self, subject: &Subject<'_>) -> Result<Attribution>;
}
