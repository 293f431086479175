//! The oracle that attacks see: it counts, limits and remembers.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Family;
use super::access::{Access, Decides, Gradient, Scores};
use super::any::Resume;
use super::outcome::{Closest, Member, Outcome};
use super::session::{Sample, Session};
use super::transform::Subject;
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::loss::{Loss, check_classes};
use crate::model::{Batch, LossGradient, expect_len};
use crate::norm::Radius;
use crate::rng::{self, Stream};
use crate::threat::{Bounds, Region, Stride};

/// The oracle over one batch of samples, called slots 0 to [`len`](Self::len).
///
/// Points are rows of `features` values; every query takes the slots that the rows belong to, in any order, a slot as
/// often as wanted. What an attack may ask is part of the type: one that declares
/// [`Decision`](super::Decision) cannot read logits.
///
/// ```
/// # use ironbound::{Result, attack::{Decision, Score, Target}};
/// fn scores(target: &mut Target<'_, Score>, point: &[f32]) -> Result<()> {
///     target.logits(&[0], point, &mut vec![])
/// }
/// ```
///
/// ```compile_fail
/// # use ironbound::{Result, attack::{Decision, Score, Target}};
/// fn scores(target: &mut Target<'_, Decision>, point: &[f32]) -> Result<()> {
///     target.logits(&[0], point, &mut vec![])
/// }
/// ```
///
/// The same for losses and gradients with anything but [`Gradient`]:
///
/// ```compile_fail
/// # use ironbound::{LossGradient, LossKind, Result, attack::{Score, Target}};
/// fn gradients(target: &mut Target<'_, Score>, point: &[f32]) -> Result<()> {
///     target.loss_and_gradient(&[0], point, &LossKind::Margin.loss(), &mut LossGradient::default())
/// }
/// ```
#[derive(Debug)]
pub struct Target<'a, A: Access> {
    session: &'a Session<'a>,
    attack: &'static str,
    samples: &'a [Sample<'a>],
    outcomes: Vec<Outcome>,
    scratch: Vec<f32>,
    asked: Asked,
    /// The logits of a point that is run alone.
    alone: Vec<f32>,
    /// The logits at the clean inputs, where a loss asked for them.
    clean_logits: Vec<Vec<f32>>,
    aims: Vec<Aim>,
    ids: Vec<usize>,
    /// Whether bounds and mask alone hold the points.
    unlimited: bool,
    access: PhantomData<A>,
}

impl<'a, A: Access> Target<'a, A> {
    /// An oracle over `samples` for the attack called `attack`.
    #[must_use]
    pub fn new(session: &'a Session<'a>, attack: &'static str, samples: &'a [Sample<'a>]) -> Self {
        Self::resume(session, attack, samples, vec![Outcome::default(); samples.len()])
    }

    /// The same, for samples of which something has been asked already: one outcome each.
    pub(super) fn resume(
        session: &'a Session<'a>,
        attack: &'static str,
        samples: &'a [Sample<'a>],
        outcomes: Vec<Outcome>,
    ) -> Self {
        Self {
            session,
            attack,
            samples,
            outcomes,
            scratch: vec![],
            asked: Asked::default(),
            alone: vec![],
            clean_logits: vec![],
            aims: vec![],
            ids: vec![],
            unlimited: false,
            access: PhantomData,
        }
    }

    /// Lets the points be as far from the clean input as bounds and mask allow.
    pub(super) fn lift_budget(&mut self) {
        self.unlimited = true;
    }

    /// Slots in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether the batch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Features of one sample.
    #[must_use]
    pub fn features(&self) -> usize {
        self.session.model.features()
    }

    /// The shape of one sample, without the batch axis.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        &self.session.model.info().shape
    }

    /// The bounds of the threat, which [regions](Self::region) may narrow.
    #[must_use]
    pub fn bounds(&self) -> &'a Bounds {
        &self.session.threat.bounds
    }

    /// Classes of the model.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.session.model.classes()
    }

    /// The clean input of a slot.
    #[must_use]
    pub fn clean(&self, slot: usize) -> &'a [f32] {
        self.samples[slot].clean
    }

    /// The aim of a slot.
    #[must_use]
    pub fn aim(&self, slot: usize) -> Aim {
        self.samples[slot].aim
    }

    /// The feasible points of a slot. For a [minimal-norm](super::Family::MinimalNorm) attack, the radius of their
    /// ball is infinite.
    #[must_use]
    pub fn region(&self, slot: usize) -> Region<'a> {
        let sample = &self.samples[slot];
        let region = self.session.threat.region(sample.id, sample.clean);
        if self.unlimited { region.with_radius(Radius::Scalar(f64::INFINITY)) } else { region }
    }

    /// The session's seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.session.seed
    }

    /// The random stream of a slot: the same for any batch, thread or order.
    #[must_use]
    pub fn stream(&self, slot: usize, restart: usize) -> Stream {
        rng::stream(self.session.seed, self.attack, self.samples[slot].id, restart)
    }

    /// A slot's sample, to transform.
    #[must_use]
    pub fn subject(&self, slot: usize) -> Subject<'a> {
        let sample = &self.samples[slot];
        let (session, shape) = (self.session, self.shape());
        Subject::new((sample.id, sample.clean), shape, session.threat, session.seed)
    }

    /// Says what was done to get to the point that a slot was asked about last, if it is the one to be remembered.
    pub fn explain(&mut self, slot: usize, change: Option<serde_json::Value>) {
        let outcome = &mut self.outcomes[slot];
        if std::mem::take(&mut outcome.is_new) {
            outcome.change = change;
        }
    }

    /// Whether a slot met its aim at a feasible point.
    #[must_use]
    pub fn is_broken(&self, slot: usize) -> bool {
        self.outcomes[slot].success
    }

    /// Whether a slot may be asked about once more, whichever query the access class allows: its logits have been
    /// finite and it has queries enough left.
    #[must_use]
    pub fn is_open(&self, slot: usize) -> bool {
        self.affords(slot, A::COST)
    }

    /// Whether a slot's logits have been finite and it has `cost` queries left; a forward and a backward pass cost one
    /// each.
    #[must_use]
    pub fn affords(&self, slot: usize, cost: u64) -> bool {
        let outcome = &self.outcomes[slot];
        outcome.non_finite.is_none() && outcome.queries().saturating_add(cost) <= self.limit()
    }

    /// The queries that a slot has left; none once its logits have not been finite.
    pub(super) fn left(&self, slot: usize) -> u64 {
        let spent = self.outcomes[slot].queries();
        if self.is_closed(slot) { 0 } else { self.limit().saturating_sub(spent) }
    }

    /// The `count` points of the session's that are nearest to a slot's clean input in L2 and may meet its aim, nearest
    /// first.
    #[must_use]
    pub fn starts(&self, slot: usize, count: usize) -> Vec<&'a [f32]> {
        self.session.starts.nearest(self.clean(slot), self.aim(slot), count)
    }

    /// Whether a slot's logits were not finite.
    #[must_use]
    pub fn is_closed(&self, slot: usize) -> bool {
        self.outcomes[slot].non_finite.is_some()
    }

    /// Drops the slots that are broken or no longer [open](Self::is_open).
    pub fn retain_open(&self, slots: &mut Vec<usize>) {
        slots.retain(|&slot| !self.is_broken(slot) && self.is_open(slot));
    }

    /// Counts a step of a slot at which the gradient was identically zero.
    pub fn note_zero_gradient(&mut self, slot: usize) {
        self.outcomes[slot].zero_gradients += 1;
    }

    /// Asks about points without learning anything but [`is_broken`](Self::is_broken).
    ///
    /// # Errors
    /// When a slot is not open, the model cannot be run, or the run was cancelled.
    pub fn submit(&mut self, slots: &[usize], points: &[f32]) -> Result<()> {
        let mut logits = std::mem::take(&mut self.scratch);
        self.forward(slots, points, &mut logits)?;
        self.scratch = logits;
        Ok(())
    }

    /// What the attack did, slot by slot.
    #[must_use]
    pub fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes
    }

    fn forward(&mut self, slots: &[usize], points: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        logits.clear();
        if slots.is_empty() {
            return Ok(());
        }
        self.admit(slots, points, 1, 0)?;
        let mut asked = std::mem::take(&mut self.asked);
        let points = asked.realise(slots.iter().map(|&slot| self.region(slot)), points);
        let batch = Batch { inputs: points, samples: &self.ids };
        self.session.model.logits(batch, logits)?;
        self.expect_answer("logits", logits.len(), slots.len() * self.classes())?;
        self.remember(slots, points, logits)?;
        self.asked = asked;
        Ok(())
    }

    fn limit(&self) -> u64 {
        self.session.query_limit.unwrap_or(u64::MAX)
    }

    /// Counts a query and notes whose it is, or refuses it before it costs anything. A slot may occur more than once.
    fn admit(
        &mut self,
        slots: &[usize],
        points: &[f32],
        forward: u64,
        backward: u64,
    ) -> Result<()> {
        self.session.cancel.check()?;
        let expected = slots.len() * self.features();
        if points.len() != expected {
            let rows = format!("expected slots x features, that is {expected} values");
            return Err(Error::parameter("points", format!("{} long", points.len()), rows));
        }
        let limit = self.limit();
        for (done, &slot) in slots.iter().enumerate() {
            if self.outcomes[slot].queries().saturating_add(forward + backward) > limit {
                for &slot in &slots[..done] {
                    self.outcomes[slot].forward -= forward;
                    self.outcomes[slot].backward -= backward;
                }
                return Err(Error::QueryLimit { sample: self.samples[slot].id, limit });
            }
            self.outcomes[slot].forward += forward;
            self.outcomes[slot].backward += backward;
        }
        self.ids.clear();
        self.ids.extend(slots.iter().map(|&slot| self.samples[slot].id));
        Ok(())
    }

    fn expect_answer(&self, what: &str, found: usize, expected: usize) -> Result<()> {
        expect_len(self.session.model, what, found, expected)
    }

    /// Keeps the best feasible point per slot.
    fn remember(&mut self, slots: &[usize], points: &[f32], logits: &[f32]) -> Result<()> {
        let (features, classes) = (self.features(), self.classes());
        let rows = points.chunks_exact(features.max(1)).zip(logits.chunks_exact(classes));
        for (&slot, (point, logits)) in slots.iter().zip(rows) {
            if let Some(class) = logits.iter().position(|z| !z.is_finite()) {
                self.outcomes[slot].non_finite.get_or_insert((class, logits[class]));
                continue;
            }
            let aim = self.aim(slot);
            let (mut success, margin) = (self.session.is_met(aim, logits), aim.margin(logits));
            let known = &self.outcomes[slot];
            let nearer_boundary = known.point.is_none() || margin < known.margin;
            if !success && (known.success || !nearer_boundary) {
                continue;
            }
            let Ok(distance) = self.region(slot).check(point) else { continue };
            if success {
                if known.success && distance >= known.distance {
                    continue;
                }
                success = self.confirm(slot, point)?;
                if !success && self.outcomes[slot].success {
                    continue;
                }
            }
            let outcome = &mut self.outcomes[slot];
            let kept = outcome.point.get_or_insert_default();
            kept.clear();
            kept.extend_from_slice(point);
            (outcome.success, outcome.margin, outcome.distance) = (success, margin, distance);
            outcome.is_new = true;
        }
        Ok(())
    }

    /// Whether a success also is one when the model runs on the point alone, as the judge will run it: an attack must
    /// not stop at a point that only the last bits of a batch put over the boundary. The pass is not the attacker's
    /// and is not counted.
    fn confirm(&mut self, slot: usize, point: &[f32]) -> Result<bool> {
        let (model, sample) = (self.session.model, &self.samples[slot]);
        let row = Batch { inputs: point, samples: &[sample.id] };
        model.logits_alone(row, &mut self.alone)?;
        self.expect_answer("logits", self.alone.len(), self.classes())?;
        Ok(self.alone.iter().all(|z| z.is_finite()) && self.session.is_met(sample.aim, &self.alone))
    }
}

/// What the model is asked about: the points that the attack named, or, where data cannot be those, the ones that they are
/// [realised](Region::realise) as. The gradient there is the attack's answer all the same: one that rounded its own points
/// would not get on by steps of less than half a level.
#[derive(Debug, Default)]
struct Asked {
    points: Vec<f32>,
    strides: Vec<Stride>,
}

impl Asked {
    fn realise<'p>(
        &'p mut self,
        regions: impl Iterator<Item = Region<'p>>,
        points: &'p [f32],
    ) -> &'p [f32] {
        let mut regions = regions.peekable();
        let Some(first) = regions.peek().filter(|first| !first.is_continuous()) else {
            return points;
        };
        let features = first.clean.len().max(1);
        self.points.clear();
        self.points.extend_from_slice(points);
        for (region, point) in regions.zip(self.points.chunks_exact_mut(features)) {
            region.realise_in(point, &mut self.strides);
        }
        &self.points
    }
}

impl<A: Decides> Target<'_, A> {
    /// The closest success of a slot among the points asked about; none while it is not broken.
    #[must_use]
    pub fn closest(&self, slot: usize) -> Option<Closest<'_>> {
        let outcome = &self.outcomes[slot];
        let (distance, margin) = (outcome.distance, outcome.margin);
        let point = outcome.point.as_deref().filter(|_| outcome.success)?;
        Some(Closest { point, distance, margin })
    }

    /// Whether each point meets its slot's aim.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn decide(&mut self, slots: &[usize], points: &[f32]) -> Result<Vec<bool>> {
        let mut logits = std::mem::take(&mut self.scratch);
        self.forward(slots, points, &mut logits)?;
        let rows = logits.chunks_exact(self.classes());
        let met = slots.iter().zip(rows);
        let met = met.map(|(&slot, row)| self.session.is_met(self.aim(slot), row)).collect();
        self.scratch = logits;
        Ok(met)
    }
}

impl<A: Scores> Target<'_, A> {
    /// The logits of each point, `slots x classes`.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn logits(&mut self, slots: &[usize], points: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        self.forward(slots, points, logits)
    }

    /// The losses of each point.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), or when the model has fewer classes than the loss needs.
    pub fn losses(
        &mut self,
        slots: &[usize],
        points: &[f32],
        loss: &Arc<dyn Loss>,
        losses: &mut Vec<f32>,
    ) -> Result<()> {
        let aims: Vec<Aim> = slots.iter().map(|&slot| self.aim(slot)).collect();
        self.losses_towards(slots, points, &aims, loss, losses)
    }

    /// The same with other aims for the loss, one per point.
    pub(super) fn losses_towards(
        &mut self,
        slots: &[usize],
        points: &[f32],
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        losses: &mut Vec<f32>,
    ) -> Result<()> {
        check_classes(&**loss, self.classes())?;
        let mut logits = std::mem::take(&mut self.scratch);
        self.forward(slots, points, &mut logits)?;
        let mut unused = vec![0.0; self.classes()];
        losses.clear();
        let rows = logits.chunks_exact(self.classes()).zip(aims);
        for (&slot, (logits, &aim)) in slots.iter().zip(rows) {
            let loss = self.loss_of(slot, loss)?;
            losses.push(loss.value_and_gradient(logits, aim, &mut unused));
        }
        self.scratch = logits;
        Ok(())
    }

    /// The loss of a slot: one that compares with the logits at the clean input, which are not the attacker's query,
    /// learns them.
    fn loss_of(&mut self, slot: usize, loss: &Arc<dyn Loss>) -> Result<Arc<dyn Loss>> {
        if !loss.needs_clean() {
            return Ok(Arc::clone(loss));
        }
        self.clean_logits.resize(self.samples.len(), vec![]);
        if self.clean_logits[slot].is_empty() {
            let (model, sample) = (self.session.model, &self.samples[slot]);
            let row = Batch { inputs: sample.clean, samples: &[sample.id] };
            model.logits_alone(row, &mut self.clean_logits[slot])?;
            self.expect_answer("logits", self.clean_logits[slot].len(), self.classes())?;
        }
        Ok(loss.at_clean(&self.clean_logits[slot]).unwrap_or_else(|| Arc::clone(loss)))
    }
}

impl Target<'_, Gradient> {
    /// Logits, losses and input gradients of each point: one forward and one backward query.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), or when the model cannot be differentiated or has fewer classes than the loss needs.
    pub fn loss_and_gradient(
        &mut self,
        slots: &[usize],
        points: &[f32],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        let mut aims = std::mem::take(&mut self.aims);
        aims.clear();
        aims.extend(slots.iter().map(|&slot| self.aim(slot)));
        let asked = self.loss_and_gradient_towards(slots, points, &aims, loss, out);
        self.aims = aims;
        asked
    }

    /// As [`loss_and_gradient`](Self::loss_and_gradient), with the losses taken for other aims than the slots' own, one
    /// per row. What counts as a success is still the slot's aim.
    ///
    /// # Errors
    /// As [`loss_and_gradient`](Self::loss_and_gradient).
    pub fn loss_and_gradient_towards(
        &mut self,
        slots: &[usize],
        points: &[f32],
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        if slots.is_empty() {
            out.logits.clear();
            out.loss.clear();
            out.gradient.clear();
            return Ok(());
        }
        if aims.len() != slots.len() {
            let rows = format!("expected one aim per slot, that is {}", slots.len());
            return Err(Error::parameter("aims", format!("{} long", aims.len()), rows));
        }
        check_classes(&**loss, self.classes())?;
        if loss.needs_clean() {
            return self.ask_singly(slots, points, aims, loss, out);
        }
        self.ask_together(slots, points, aims, loss, out)
    }

    fn ask_together(
        &mut self,
        slots: &[usize],
        points: &[f32],
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        self.admit(slots, points, 1, 1)?;
        let mut asked = std::mem::take(&mut self.asked);
        let points = asked.realise(slots.iter().map(|&slot| self.region(slot)), points);
        let batch = Batch { inputs: points, samples: &self.ids };
        self.session.model.loss_and_gradient(batch, aims, loss, out)?;
        self.expect_answer("logits", out.logits.len(), slots.len() * self.classes())?;
        self.expect_answer("losses", out.loss.len(), slots.len())?;
        self.expect_answer("gradient values", out.gradient.len(), points.len())?;
        self.remember(slots, points, &out.logits)?;
        self.asked = asked;
        Ok(())
    }

    /// The same for a loss that differs from sample to sample.
    fn ask_singly(
        &mut self,
        slots: &[usize],
        points: &[f32],
        aims: &[Aim],
        loss: &Arc<dyn Loss>,
        out: &mut LossGradient,
    ) -> Result<()> {
        out.logits.clear();
        out.loss.clear();
        out.gradient.clear();
        let mut one = LossGradient::default();
        let rows = points.chunks_exact(self.features().max(1));
        for ((slot, aim), point) in slots.iter().zip(aims).zip(rows) {
            let loss = self.loss_of(*slot, loss)?;
            let (slot, aim) = (std::slice::from_ref(slot), std::slice::from_ref(aim));
            self.ask_together(slot, point, aim, &loss, &mut one)?;
            out.logits.extend_from_slice(&one.logits);
            out.loss.extend_from_slice(&one.loss);
            out.gradient.extend_from_slice(&one.gradient);
        }
        Ok(())
    }

    /// Lets `member` go on with some slots, each once: its random streams are keyed by `name`, its queries and finds
    /// count here.
    pub(super) fn delegate(
        &mut self,
        name: &'static str,
        member: &dyn Resume,
        slots: &[usize],
    ) -> Result<()> {
        let samples: Vec<_> = slots.iter().map(|&slot| self.samples[slot]).collect();
        let broken: Vec<bool> = slots.iter().map(|&slot| self.is_broken(slot)).collect();
        let mut before: Vec<_> =
            slots.iter().map(|&slot| std::mem::take(&mut self.outcomes[slot])).collect();
        // What is in reach says nothing to an attack that knows no budget, and what it finds may be out of reach.
        let ignores_budget = member.family() == Family::MinimalNorm;
        let given = if ignores_budget {
            before.iter_mut().map(Outcome::split_off_counts).collect()
        } else {
            std::mem::take(&mut before)
        };
        let (after, ended) = member.resume(name, self.session, &samples, given);
        for (&slot, outcome) in slots.iter().zip(after) {
            self.outcomes[slot] = outcome;
        }
        for (&slot, known) in slots.iter().zip(before) {
            let region = self.region(slot);
            let found = &mut self.outcomes[slot];
            if found.point.as_deref().is_none_or(|point| region.check(point).is_err()) {
                (found.point, found.success) = (None, false);
            }
            found.absorb(known);
        }
        for (&slot, _) in slots.iter().zip(broken).filter(|(_, broken)| !broken) {
            let outcome = &mut self.outcomes[slot];
            if outcome.success {
                let (name, access) = (name.into(), member.access().into());
                outcome.member.get_or_insert(Member { name, access });
            }
        }
        ended
    }
}
