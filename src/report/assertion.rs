//! Assertions on a report, for an engineer's own tests.

use super::record::Report;
use super::text::percent;
use crate::norm::Norm;

/// Fails a test when the worst-case robust accuracy of a [`Report`] is too low; the message ends in the report's table.
///
/// `assert_robust!(report, linf = 8.0 / 255.0, at_least = 0.4)` asks for the threat of that norm and budget;
/// `assert_robust!(report, clean, at_least = 0.9)` for the accuracy without an attack. Of several threats of one norm and
/// budget, all must hold. An accuracy that is not known, and a report without the threat, fail as well.
///
/// # Example
/// ```
/// use ironbound::attack::Fgsm;
/// use ironbound::{Dataset, Evaluation, Model, Norm, Report, Threat, assert_robust};
///
/// let model = Model::load("examples/assets/digits_cnn.onnx")?;
/// let data = Dataset::from_npz("examples/assets/digits_test.npz")?.subset(0, Some(20))?;
/// let run = Evaluation::new(&model, &data).threat(Threat::new(Norm::Linf, 0.05));
/// let report = Report::new(&run.attack(Fgsm::default()).run()?);
/// assert_robust!(report, clean, at_least = 0.9);
/// assert_robust!(report, linf = 0.05, at_least = 0.8);
/// # Ok::<(), ironbound::Error>(())
/// ```
///
/// # Panics
/// That is what it is for.
#[macro_export]
macro_rules! assert_robust {
    ($report:expr, clean, at_least = $least:expr $(,)?) => {
        if let Err(failure) = $report.expect_clean($least) {
            panic!("{failure}");
        }
    };
    ($report:expr, $norm:ident = $eps:expr, at_least = $least:expr $(,)?) => {
        if let Err(failure) = $report.expect_robust(stringify!($norm), $eps, $least) {
            panic!("{failure}");
        }
    };
}

impl Report {
    /// What is amiss when the clean accuracy is below `least`: see [`assert_robust!`](crate::assert_robust).
    ///
    /// # Errors
    /// The message.
    pub fn expect_clean(&self, least: f64) -> Result<(), String> {
        self.expect("clean accuracy", self.clean.accuracy, least)
    }

    /// What is amiss when the worst-case robust accuracy within `eps` in the norm of that name is below `least`: see
    /// [`assert_robust!`](crate::assert_robust).
    ///
    /// # Errors
    /// The message.
    pub fn expect_robust(&self, norm: &str, eps: f64, least: f64) -> Result<(), String> {
        let norm: Norm = norm.parse().map_err(|error: crate::Error| error.to_string())?;
        let asked = self.cases_within(norm, eps)?;
        asked.into_iter().try_for_each(|case| {
            let what = format!("worst-case robust accuracy within {}", case.name());
            self.expect(&what, case.robust_accuracy, least)
        })
    }

    fn expect(&self, what: &str, accuracy: Option<f64>, least: f64) -> Result<(), String> {
        // A share such as 56.6 % has no exact representation: one that is met exactly passes.
        if accuracy.is_some_and(|accuracy| accuracy >= least - 1e-12) {
            return Ok(());
        }
        let (accuracy, least) = (percent(accuracy), percent(Some(least)));
        Err(format!("{what} is {accuracy}, expected at least {least}\n\n{}", self.to_text()))
    }
}
