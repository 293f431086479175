//! A progress bar on the terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ironbound::evaluate::{Plan, UnitDone};
use ironbound::{Norm, Observer};

pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows nothing unless it is `visible`.
    pub(crate) fn new(visible: bool) -> Self {
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }
}

impl Observer for Progress {
    fn started(&self, plan: Plan) {
        self.bar.set_length(plan.samples as u64);
        self.bar.set_message("clean");
    }

    fn row_started(&self, attack: &str, norm: Norm, eps: f64, open: usize) {
        self.bar.set_message(format!("{attack} {norm} {eps:.4}"));
        self.bar.set_length(open as u64);
        self.bar.reset();
    }

    fn unit_done(&self, unit: UnitDone<'_>) {
        self.bar.inc(unit.samples as u64);
    }

    fn finished(&self, _partial: bool) {
        self.bar.finish_and_clear();
    }
}
