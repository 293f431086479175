//! What an evaluation is to do: checks of what was asked, and the runs that come of it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::builder::Evaluation;
use super::scheduler::{Aimed, Samples};
use super::{aims, validate};
use crate::attack::{Access, AnyAttack, Gradient, expect_norm};
use crate::data::{Dataset, Snapped};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::goal::Aim;
use crate::norm::Norm;
use crate::preflight::Preflight;
use crate::profile::{self, Stage};
use crate::threat::{Bounds, Threat};

impl Evaluation<'_> {
    /// The places of the samples asked for, of `total`.
    pub(super) fn range_of(&self, total: usize) -> Result<Range<usize>> {
        if self.offset >= total {
            let expected = format!("expected less than the number of samples, {total}");
            return Err(Error::parameter("offset", self.offset, expected));
        }
        let end = self.limit.map_or(total, |limit| total.min(self.offset.saturating_add(limit)));
        let count = end - self.offset;
        if self.shard.count() > count {
            let expected = format!("expected at most as many shards as samples, {count}");
            return Err(Error::parameter("shard", self.shard, expected));
        }
        Ok(self.offset..end)
    }

    /// Checks everything that was asked of a data set with `total` samples.
    pub(super) fn validate(&self, total: usize) -> Result<()> {
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
        for threat in &self.threats {
            threat.validate(total, self.model.features(), self.model.classes())?;
            self.attacks.iter().try_for_each(|attack| expect_norm(&**attack, threat.norm))?;
        }
        Ok(())
    }

    /// Data in the shape of the model's input, as every threat's domain allows them and within its bounds, and what was moved
    /// for each domain.
    pub(super) fn prepared<'d>(
        &self,
        data: &'d Dataset,
    ) -> Result<(Cow<'d, Dataset>, Vec<Snapped>)> {
        let mut data = data.shaped_for(self.model)?;
        data.validate(&Bounds::NONE, self.model.classes())?;
        let is_first = |at: usize, same: fn(&Threat, &Threat) -> bool| {
            !self.threats[..at].iter().any(|earlier| same(earlier, &self.threats[at]))
        };
        let mut moved = vec![];
        for (at, threat) in self.threats.iter().enumerate() {
            if is_first(at, |a, b| a.domain == b.domain) {
                let (found, snapped) = data.snapped(&threat.domain)?;
                moved.push(snapped);
                if let Cow::Owned(found) = found {
                    data = Cow::Owned(found);
                }
            }
        }
        for (at, threat) in self.threats.iter().enumerate() {
            if is_first(at, |a, b| a.bounds == b.bounds) {
                data.validate(&threat.bounds, self.model.classes())?;
            }
        }
        Ok((data, moved))
    }

    pub(super) fn attacks_anything(&self) -> bool {
        !(self.threats.is_empty() || self.attacks.is_empty())
    }

    pub(super) fn needs_gradients(&self) -> bool {
        !self.threats.is_empty()
            && self.attacks.iter().any(|attack| attack.access() == Gradient::NAME)
    }

    /// What a preflight finds on `limit` samples from `offset` on; nothing when it is not wanted or was interrupted.
    pub(super) fn checked(
        &self,
        data: &Dataset,
        offset: usize,
        limit: Option<usize>,
    ) -> Vec<Finding> {
        if !self.preflight {
            return vec![];
        }
        let _within = profile::enter(Stage::Preflight);
        let mut preflight = Preflight::new(self.model, data)
            .range(offset, limit)
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

    pub(super) fn aims(
        &self,
        threat: &Threat,
        samples: Samples<'_>,
        logits: &[Vec<f32>],
    ) -> Vec<Option<Aim>> {
        let one = |(index, logits): (usize, &Vec<f32>)| {
            let (id, label) = (samples.id(index), samples.labels[index]);
            let known = !logits.is_empty();
            known.then(|| aims::aim(&threat.goal, self.seed, id, label, logits)).flatten()
        };
        logits.iter().enumerate().map(one).collect()
    }

    /// The threats of a transformation, one for all that differ in norm and budget only, and the place of the first of these;
    /// none of another attack.
    pub(super) fn of_transformations(&self, attack: &dyn AnyAttack) -> Vec<(Threat, usize)> {
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
    pub(super) fn rows(&self) -> usize {
        let of = |attack: &Arc<dyn AnyAttack>| match attack.transform() {
            Some(_) => self.of_transformations(&**attack).len(),
            None => self.threats.len(),
        };
        self.attacks.iter().map(of).sum()
    }

    /// The threats of each norm, norms in the order given, budgets ascending.
    pub(super) fn by_norm<'s>(&'s self, aims: &'s [Vec<Option<Aim>>]) -> Vec<Vec<Aimed<'s>>> {
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
