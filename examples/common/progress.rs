//! A progress bar on the terminal, with the time that is left.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ironbound::evaluate::{Plan, UnitDone};
use ironbound::{Norm, Observer};

pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Shows nothing when it is to be quiet, or nobody looks.
    pub(crate) fn new(quiet: bool) -> Self {
        let target = if quiet || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    /// A line above the bar.
    #[allow(dead_code, reason = "for the examples with several runs")]
    pub(crate) fn say(&self, line: &str) {
        self.bar.println(line);
    }

    /// Steps of one kind.
    #[allow(dead_code, reason = "for the examples without attacks")]
    pub(crate) fn counter(&self, what: &'static str) -> impl Fn(usize, usize) + Sync {
        self.bar.set_message(what);
        |done, of| {
            self.bar.set_length(of as u64);
            self.bar.set_position(done as u64);
            if done == of {
                self.bar.finish_and_clear();
            }
        }
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
