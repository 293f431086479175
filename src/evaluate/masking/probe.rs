//! A closer look at a few samples that the attacks by gradients left robust.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::attack::{AnyAttack, Pgd, Sample, Session};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::evaluate::extent::Extent;
use crate::evaluate::judge::Judge;
use crate::evaluate::results::{Fate, Row};
use crate::evaluate::scheduler::Samples;
use crate::finding::{Finding, Severity};
use crate::goal::{Aim, Goal};
use crate::loss::LossKind;
use crate::model::{Batch, LossGradient, expect_len};
use crate::norm::Norm;
use crate::preflight::check_failed;
use crate::profile::{self, Stage};
use crate::threat::{Budget, StepSize, Threat};

/// Samples that are looked at, at the most.
const PROBED: usize = 8;
/// Steps of the attack without a budget; twenty of them cross the whole range.
const STEPS: usize = 50;
/// The steps along the gradient, as shares of the budget.
const SHARES: [f64; 3] = [0.01, 0.1, 1.0];

/// What is asked about survivors: whether an attack without a budget breaks them, and whether the loss rises along its
/// gradient. Per sample, at most 51 forward and 50 backward passes for the one, 5 and 1 for the other.
pub(in crate::evaluate) struct Probe<'a> {
    pub(in crate::evaluate) judge: Judge<'a>,
    pub(in crate::evaluate) samples: Samples<'a>,
    /// Of all samples of the run, of which `samples` may be a part.
    pub(in crate::evaluate) extent: &'a Extent<'a>,
    pub(in crate::evaluate) seed: u64,
    pub(in crate::evaluate) cancel: &'a Cancel,
}

/// What survivors showed: the first of those that the first norm leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::evaluate) struct Probed {
    /// Which norm of the run it is.
    norm: usize,
    /// One by one; why not, where the model could not be run.
    shown: Vec<Result<Shown, String>>,
}

/// What one survivor showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    /// Whether the attack without a budget failed.
    withstands: bool,
    /// Whether there is a gradient, and no step along it raised the loss.
    is_flat: bool,
}

impl Probe<'_> {
    /// Nothing where there is no survivor, or the run was cancelled.
    pub(in crate::evaluate) fn run(&self, rows: &[Row]) -> Option<Probed> {
        let (norm, threat, survivors) = survivors(rows)?;
        let unbounded = self.unbounded(threat);
        let look = |&index: &usize| {
            let _within = profile::enter(Stage::Preflight);
            let withstands = self.withstands(&unbounded, index)?;
            Ok(Shown { withstands, is_flat: self.is_flat(threat, index)? })
        };
        let shown: Vec<Result<Shown>> = survivors.par_iter().map(look).collect();
        let kept = |shown: Result<Shown>| match shown {
            Err(Error::Cancelled) => None,
            shown => Some(shown.map_err(|error| error.one_line())),
        };
        let shown = shown.into_iter().map(kept).collect::<Option<_>>()?;
        Some(Probed { norm, shown })
    }

    fn sample(&self, index: usize) -> Sample<'_> {
        let aim = Aim::untargeted(self.samples.labels[index]);
        Sample { id: self.samples.id(index), clean: self.samples.input(index), aim }
    }

    /// A threat that lets every feature cross its bounds or, where it has none, the range of the data.
    fn unbounded(&self, threat: &Threat) -> Threat {
        let width = |feature: usize| {
            let (lower, upper) = threat.bounds.at(feature);
            if lower.is_finite() && upper.is_finite() {
                return f64::from(upper) - f64::from(lower);
            }
            let (low, high) = self.extent.at(feature);
            f64::from(high) - f64::from(low)
        };
        let mut widths: Vec<f64> = (0..self.samples.features).map(width).collect();
        let widest = widths.iter().copied().fold(0.0, f64::max);
        widths.iter_mut().filter(|width| **width == 0.0).for_each(|width| *width = widest);
        let budget = Budget::PerFeature(widths);
        Threat { norm: Norm::Linf, budget, goal: Goal::Untargeted, ..threat.clone() }
    }

    fn withstands(&self, unbounded: &Threat, index: usize) -> Result<bool> {
        let session = Session {
            seed: self.seed,
            cancel: self.cancel.clone(),
            ..Session::new(self.judge.model, unbounded)
        };
        let attack = Pgd {
            steps: STEPS,
            rel_step: Some(0.05),
            loss: LossKind::Margin,
            random_start: false,
            ..Pgd::default()
        };
        let outcomes = AnyAttack::run(&attack, &session, &[self.sample(index)])?;
        Ok(outcomes.iter().all(|outcome| !outcome.success && outcome.non_finite.is_none()))
    }

    fn is_flat(&self, threat: &Threat, index: usize) -> Result<bool> {
        let Sample { id, clean, aim } = self.sample(index);
        let (batch, region) = (Batch { inputs: clean, samples: &[id] }, threat.region(id, clean));
        let mut answer = LossGradient::default();
        let (model, loss) = (self.judge.model, LossKind::Margin.loss());
        model.loss_and_gradient(batch, &[aim], &loss, &mut answer)?;
        expect_len(model, "gradient", answer.gradient.len(), clean.len())?;
        if !region.restrict(&mut answer.gradient) || region.radius.largest() == 0.0 {
            return Ok(false);
        }
        let before = aim.margin(&self.judge.logits(id, clean)?);
        for share in SHARES {
            let mut point = clean.to_vec();
            region.step(&mut point, &answer.gradient, StepSize::Relative(share));
            region.project(&mut point);
            if aim.margin(&self.judge.logits(id, &point)?) < before {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Probed {
    /// What the parts of a run showed, as all of it would have.
    pub(in crate::evaluate) fn merged<'p>(
        parts: impl IntoIterator<Item = &'p Self>,
    ) -> Option<Self> {
        let parts: Vec<_> = parts.into_iter().collect();
        let norm = parts.iter().map(|part| part.norm).min()?;
        let of_norm = parts.iter().filter(|part| part.norm == norm);
        let shown = of_norm.flat_map(|part| part.shown.clone()).take(PROBED).collect();
        Some(Self { norm, shown })
    }

    /// `rows` are those of the run.
    pub(in crate::evaluate) fn findings(&self, rows: &[Row]) -> Vec<Finding> {
        let shown = match self.shown.iter().cloned().collect::<Result<Vec<_>, _>>() {
            Ok(shown) => shown,
            Err(error) => {
                return vec![check_failed(Severity::Warning, "the probe of survivors", &error)];
            }
        };
        let count = |is: fn(&Shown) -> bool| shown.iter().filter(|shown| is(shown)).count();
        let threat = by_norm(rows).nth(self.norm).and_then(of_white_box).map(|(threat, _)| threat);
        let withstanding = unbounded_fails(count(|s| s.withstands), shown.len());
        let flat = flat_along_gradient(count(|s| s.is_flat), shown.len(), threat);
        withstanding.into_iter().chain(flat).collect()
    }
}

fn by_norm(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.threat.norm == b.threat.norm)
}

/// The rows of attacks by gradients, and the largest budget among them. Threats with a mask or a domain are passed over: under
/// one, no attack may get far.
fn of_white_box(rows: &[Row]) -> Option<(&Threat, Vec<&Row>)> {
    let is_open = |row: &&Row| row.threat.mask.is_none() && row.threat.domain.is_any();
    let white: Vec<_> = rows.iter().filter(|row| row.is_white_box()).filter(is_open).collect();
    Some((&white.last()?.threat, white))
}

/// The first norm that leaves samples robust to every attack by gradients, its largest budget, and the first of the samples.
fn survivors(rows: &[Row]) -> Option<(usize, &Threat, Vec<usize>)> {
    by_norm(rows).enumerate().find_map(|(norm, rows)| {
        let (threat, white) = of_white_box(rows)?;
        let left = |index: &usize| {
            let mut attempts =
                white.iter().filter(|r| r.threat == *threat).map(|row| &row.attempts[*index]);
            attempts.all(|attempt| attempt.fate == Fate::Robust && attempt.attacked)
        };
        let all = 0..white.last()?.attempts.len();
        let survivors: Vec<usize> = all.filter(left).take(PROBED).collect();
        (!survivors.is_empty()).then_some((norm, threat, survivors))
    })
}

fn unbounded_fails(count: usize, all: usize) -> Option<Finding> {
    let message = format!(
        "{count} of {all} samples that were left robust withstand an attack by gradients without a budget as well, which \
         must succeed: it is the attack that fails"
    );
    let remedy = "attack it without gradients (square), and find out what hides them: rounding (straight-through), \
                  saturation (another loss, logits before an activation), randomness (eot)";
    // One of eight may be stuck where every unit is off.
    (8 * count > all).then(|| Finding::warning("unbounded-attack-fails", message).remedy(remedy))
}

fn flat_along_gradient(count: usize, all: usize, threat: Option<&Threat>) -> Option<Finding> {
    let threat = threat?;
    let message = format!(
        "on {count} of {all} samples that were left robust, the margin does not change for the worse along its gradient, by \
         1 %, 10 % or all of {} {}: the gradient is not the slope",
        threat.norm,
        threat.budget.largest()
    );
    let remedy =
        "attack it without gradients (square); the audit compares the gradient with differences";
    (count > 0).then(|| Finding::warning("flat-along-gradient", message).remedy(remedy))
}
