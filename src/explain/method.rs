//! The table of methods.

use super::{
    Explainer, GradientTimesInput, InputGradient, IntegratedGradients, Occlusion, SmoothGrad,
};
use crate::parameters::kinds;

kinds! {
    /// A method of the table with its parameters.
    ///
    /// On a command line it is the name, a colon and the parameters: `integrated-gradients:steps=64,baseline=0.5`.
    ///
    /// ```
    /// use ironbound::explain::Method;
    ///
    /// assert!("smoothgrad:draws=20,noise=0.1".parse::<Method>().is_ok());
    /// let error = "smoothgrad:draw=20".parse::<Method>().unwrap_err().to_string();
    /// assert!(error.contains("expected one of `draws`") || error.contains("`draws`"), "{error}");
    /// ```
    Method, "method", Explainer by explainer;
    "gradient" => InputGradient,
    "gradient-x-input" => GradientTimesInput,
    "integrated-gradients" => IntegratedGradients,
    "occlusion" => Occlusion,
    "smoothgrad" => SmoothGrad,
}

impl Default for Method {
    fn default() -> Self {
        Self::IntegratedGradients(IntegratedGradients::default())
    }
}
