//! What came of a run, or of a part of it, before it is said what to think of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::masking::Probed;
use super::results::{Attempt, Clean, DataInfo, Fate, Results, Row};
use super::stopping::Stopped;
use super::warnings;
use crate::data::Grouping;
use crate::finding::Finding;
use crate::model::ModelInfo;

/// [`Results`], but for what the reader must know of all samples together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) seed: u64,
    pub(super) partial: bool,
    pub(super) model: ModelInfo,
    pub(super) data: DataInfo,
    pub(super) ids: Vec<usize>,
    pub(super) labels: Vec<usize>,
    pub(super) groups: Vec<Grouping>,
    pub(super) clean: Vec<Clean>,
    pub(super) rows: Vec<Row>,
    /// What was known before the first attack, of the model and of the whole data set.
    pub(super) known: Vec<Finding>,
    /// What samples showed that were left robust.
    pub(super) probed: Option<Probed>,
    pub(super) stopped: Option<Stopped>,
    /// Samples that the run stopped before.
    pub(super) left_out: Vec<LeftOut>,
}

/// A sample that was not come to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeftOut {
    /// Its index in the data set.
    pub(super) sample: usize,
    pub(super) label: usize,
    /// Its place among the values of each [`Grouping`].
    pub(super) groups: Vec<usize>,
}

impl Part {
    pub(super) fn results(mut self) -> Results {
        let known = std::mem::take(&mut self.known);
        let mut warnings = warnings::collect(known, &self.clean, &self.rows, self.partial);
        let shown = self.probed.iter().flat_map(|probed| probed.findings(&self.rows));
        warnings.extend(shown);
        self.complete();
        Results {
            seed: self.seed,
            partial: self.partial,
            model: self.model,
            data: self.data,
            ids: self.ids,
            labels: self.labels,
            groups: self.groups,
            clean: self.clean,
            rows: self.rows,
            stopped: self.stopped,
            warnings,
        }
    }

    /// Puts the samples that were left out among the others, in the order of the data.
    fn complete(&mut self) {
        for LeftOut { sample, label, groups } in std::mem::take(&mut self.left_out) {
            self.ids.push(sample);
            self.labels.push(label);
            self.groups.iter_mut().zip(groups).for_each(|(all, of)| all.of.push(of));
            self.clean.push(Clean::default());
            let rows = self.rows.iter_mut();
            rows.for_each(|row| row.attempts.push(Attempt::settled(Fate::Unreached)));
        }
        if self.ids.is_sorted() {
            return;
        }
        let mut order: Vec<usize> = (0..self.ids.len()).collect();
        order.sort_by_key(|&at| self.ids[at]);
        self.ids = order.iter().map(|&at| self.ids[at]).collect();
        self.labels = order.iter().map(|&at| self.labels[at]).collect();
        for groups in &mut self.groups {
            groups.of = order.iter().map(|&at| groups.of[at]).collect();
        }
        self.clean = order.iter().map(|&at| self.clean[at].clone()).collect();
        for row in &mut self.rows {
            row.attempts = order.iter().map(|&at| row.attempts[at].clone()).collect();
        }
    }

    /// The same, with the adversarial points empty.
    pub(super) fn without_points(&self) -> Self {
        let none: Arc<[f32]> = [].into();
        let mut part = self.clone();
        let attempts = part.rows.iter_mut().flat_map(|row| &mut row.attempts);
        for found in attempts.filter_map(|attempt| attempt.adversarial.as_mut()) {
            found.point = Arc::clone(&none);
        }
        part
    }

    /// The same without what grows with the samples' features: neither points nor inputs.
    pub(super) fn lean(&self) -> Self {
        let mut part = self.without_points();
        part.clean.iter_mut().for_each(|clean| clean.input = [].into());
        part
    }

    /// Parts of one run in the order of their samples as one; none of none.
    pub(super) fn merged(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().reduce(|mut all, part| {
            all.partial |= part.partial;
            all.ids.extend(part.ids);
            all.labels.extend(part.labels);
            for (groups, more) in all.groups.iter_mut().zip(part.groups) {
                groups.of.extend(more.of);
            }
            all.clean.extend(part.clean);
            for (row, more) in all.rows.iter_mut().zip(part.rows) {
                row.attempts.extend(more.attempts);
            }
            all.probed = Probed::merged(all.probed.iter().chain(&part.probed));
            all
        })
    }
}
