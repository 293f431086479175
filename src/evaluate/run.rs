//! How an evaluation goes: checks, the clean pass, the attacks, a closer look at what they left.

use std::borrow::Cow;
use std::sync::Arc;

use super::builder::Evaluation;
use super::checkpoint::{Checkpoint, Fingerprint, Opened};
use super::events::Plan;
use super::judge::Judge;
use super::masking::Probe;
use super::part::Part;
use super::results::{Fate, Results};
use super::scheduler::{Aimed, Samples, Scheduler};
use super::{aims, clean, validate};
use crate::attack::{Access, AnyAttack, Gradient, Starts, expect_norm};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::goal::Aim;
use crate::norm::Norm;
use crate::preflight::{Preflight, rehearse};
use crate::threat::{Bounds, Threat};

impl Evaluation<'_> {
    /// Runs it on a model that lacks nothing.
    pub(super) fn run_bound(&self) -> Result<Results> {
        let data = self.data.shaped_for(self.model)?;
        self.validate(&data)?;
        let data = self.realisable(data)?;
        let whole = self.samples(&data)?;
        let samples = whole.part(self.shard)?;
        let checkpoint = match self.opened(&data, whole)? {
            Some(Opened::Finished(part)) => return Ok(part.results()),
            Some(Opened::Begun(checkpoint)) => Some(checkpoint),
            None => None,
        };
        if !(self.threats.is_empty() || self.attacks.is_empty()) {
            rehearse(self.model, &data, self.needs_gradients())?;
        }
        let judge = Judge { model: self.model };
        let plan = Plan { samples: samples.len(), rows: self.rows() };
        self.observer.started(plan);
        let checked = self.checked(&data);
        let (mut clean, logits) = clean::pass(judge, samples, &self.cancel)?;
        let correct = clean.iter().filter(|clean| clean.correct).count();
        let finished = clean.iter().filter(|c| c.prediction.is_some() || c.error.is_some()).count();
        self.observer.clean_done(correct, finished);

        let aims: Vec<Vec<Option<Aim>>> =
            self.threats.iter().map(|threat| self.aims(threat, samples, &logits)).collect();
        let scheduler = Scheduler {
            judge,
            samples,
            clean: &clean,
            logits: &logits,
            seed: self.seed,
            batch: self.batch.unwrap_or_else(|| self.model.preferred_batch().max(1)),
            query_limit: self.query_limit,
            starts: Starts { points: data.values(), labels: data.labels(), ids: data.ids() },
            checkpoint: checkpoint.as_ref(),
            runs: 0.into(),
            cancel: &self.cancel,
            observer: self.observer,
        };
        let mut rows = vec![];
        for series in self.by_norm(&aims) {
            for attack in self.attacks.iter().filter(|attack| attack.transform().is_none()) {
                rows.extend(scheduler.series(&**attack, &series));
            }
        }
        for attack in &self.attacks {
            for (threat, at) in self.of_transformations(&**attack) {
                let aimed = Aimed { threat: &threat, aims: &aims[at] };
                rows.extend(scheduler.series(&**attack, &[aimed]));
            }
        }
        // A request that came when everything was done interrupted nothing.
        let partial = finished < samples.len()
            || rows.iter().any(|row| row.fates().contains(&Fate::Unreached));
        let probe = Probe { judge, samples, whole, seed: self.seed, cancel: &self.cancel };
        let probed = if self.preflight { probe.run(&rows) } else { None };
        clean::keep_inputs(&mut clean, &rows, samples);
        let mut part = Part {
            seed: self.seed,
            partial,
            model: self.model.info().clone(),
            data: (&*data).into(),
            ids: samples.ids.to_vec(),
            labels: samples.labels.to_vec(),
            groups: data.groups().iter().map(|of| of.of_samples(samples.ids)).collect(),
            clean,
            rows,
            known: [&self.model.notes()[..], data.notes(), &checked].concat(),
            probed,
        };
        // An interrupted run may have been cut short anywhere, also in the preflight.
        let finished = !partial && !self.cancel.is_cancelled();
        if let Some(failure) = checkpoint.and_then(|file| file.end(&part, finished)) {
            part.known.push(failure);
        }
        self.observer.finished(partial);
        Ok(part.results())
    }

    /// The file that keeps what is known, if one is wanted.
    fn opened(&self, data: &Dataset, whole: Samples<'_>) -> Result<Option<Opened>> {
        let open = |path| Checkpoint::open(path, &Fingerprint::of(self, data, whole));
        self.checkpoint.as_deref().map(open).transpose()
    }

    /// The samples asked for.
    fn samples<'d>(&self, data: &'d Dataset) -> Result<Samples<'d>> {
        let (features, total) = (data.features(), data.len());
        if self.offset >= total {
            let expected = format!("expected less than the number of samples, {total}");
            return Err(Error::parameter("offset", self.offset, expected));
        }
        let end = self.limit.map_or(total, |limit| total.min(self.offset.saturating_add(limit)));
        Ok(Samples {
            inputs: &data.values()[self.offset * features..end * features],
            labels: &data.labels()[self.offset..end],
            ids: &data.ids()[self.offset..end],
            features,
        })
    }

    /// Checks everything that was asked.
    fn validate(&self, data: &Dataset) -> Result<()> {
        validate::model(self.model.info())?;
        for (field, value) in [("batch", self.batch), ("limit", self.limit)] {
            if value == Some(0) {
                return Err(Error::parameter(field, 0, "expected at least 1"));
            }
        }
        for attack in &self.attacks {
            attack.validate()?;
            attack.check_model(self.model.info())?;
            if attack.transform().is_some() && self.threats.is_empty() {
                let expected =
                    "expected a threat, for its bounds and goal: its budget plays no part";
                let value = format!("not there for {}", attack.id());
                return Err(Error::parameter("threat", value, expected));
            }
        }
        // Lists of one value per sample are looked up by a sample's index in its file.
        let total = data.ids().iter().max().map_or(0, |last| last + 1);
        for threat in &self.threats {
            threat.validate(total, data.features(), self.model.classes())?;
            self.attacks.iter().try_for_each(|attack| expect_norm(&**attack, threat.norm))?;
        }
        data.validate(&Bounds::NONE, self.model.classes())
    }

    /// The data as every threat's domain allows them, and within its bounds.
    fn realisable<'d>(&self, mut data: Cow<'d, Dataset>) -> Result<Cow<'d, Dataset>> {
        let is_first = |at: usize, same: fn(&Threat, &Threat) -> bool| {
            !self.threats[..at].iter().any(|earlier| same(earlier, &self.threats[at]))
        };
        for (at, threat) in self.threats.iter().enumerate() {
            if is_first(at, |a, b| a.domain == b.domain)
                && let Cow::Owned(snapped) = data.realisable(&threat.domain)?
            {
                data = Cow::Owned(snapped);
            }
        }
        for (at, threat) in self.threats.iter().enumerate() {
            if is_first(at, |a, b| a.bounds == b.bounds) {
                data.validate(&threat.bounds, self.model.classes())?;
            }
        }
        Ok(data)
    }

    fn needs_gradients(&self) -> bool {
        !self.threats.is_empty()
            && self.attacks.iter().any(|attack| attack.access() == Gradient::NAME)
    }

    /// What a preflight finds; nothing when it is not wanted or was interrupted.
    fn checked(&self, data: &Dataset) -> Vec<Finding> {
        if !self.preflight {
            return vec![];
        }
        let mut preflight = Preflight::new(self.model, data)
            .range(self.offset, self.limit)
            .gradients(self.needs_gradients())
            .cancel(self.cancel.clone());
        for threat in &self.threats {
            preflight = preflight.threat(threat.clone());
        }
        for loss in self.attacks.iter().filter_map(|attack| attack.loss()) {
            preflight = preflight.loss(loss.loss());
        }
        let mut found = preflight.checks(data).unwrap_or_default();
        // The clean pass looks at every sample.
        found.retain(|finding| finding.code != "non-finite");
        found
    }

    fn aims(&self, threat: &Threat, samples: Samples<'_>, logits: &[Vec<f32>]) -> Vec<Option<Aim>> {
        let one = |(index, logits): (usize, &Vec<f32>)| {
            let (id, label) = (samples.id(index), samples.labels[index]);
            let known = !logits.is_empty();
            known.then(|| aims::aim(&threat.goal, self.seed, id, label, logits)).flatten()
        };
        logits.iter().enumerate().map(one).collect()
    }

    /// The threats of a transformation, one for all that differ in norm and budget only, and the place of the first of these;
    /// none of another attack.
    fn of_transformations(&self, attack: &dyn AnyAttack) -> Vec<(Threat, usize)> {
        let Some(transform) = attack.transform() else { return vec![] };
        let mut all: Vec<(Threat, usize)> = vec![];
        for (at, threat) in self.threats.iter().enumerate() {
            let threat = threat.of_transformations(transform.ranges());
            if !all.iter().any(|(known, _)| *known == threat) {
                all.push((threat, at));
            }
        }
        all
    }

    /// How many rows there will be.
    fn rows(&self) -> usize {
        let of = |attack: &Arc<dyn AnyAttack>| match attack.transform() {
            Some(_) => self.of_transformations(&**attack).len(),
            None => self.threats.len(),
        };
        self.attacks.iter().map(of).sum()
    }

    /// The threats of each norm, norms in the order given, budgets ascending.
    fn by_norm<'s>(&'s self, aims: &'s [Vec<Option<Aim>>]) -> Vec<Vec<Aimed<'s>>> {
        let mut groups: Vec<(Norm, Vec<Aimed<'s>>)> = vec![];
        for (threat, aims) in self.threats.iter().zip(aims) {
            let aimed = Aimed { threat, aims };
            match groups.iter_mut().find(|(norm, _)| *norm == threat.norm) {
                Some((_, group)) => group.push(aimed),
                None => groups.push((threat.norm, vec![aimed])),
            }
        }
        let eps = |aimed: &Aimed<'_>| aimed.threat.budget.largest();
        groups.iter_mut().for_each(|(_, group)| group.sort_by(|a, b| eps(a).total_cmp(&eps(b))));
        groups.into_iter().map(|(_, group)| group).collect()
    }
}
