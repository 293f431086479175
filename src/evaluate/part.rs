//! What came of a run, or of a part of it, before it is said what to think of it.

use serde::{Deserialize, Serialize};

use super::masking::Probed;
use super::results::{Clean, DataInfo, Results, Row};
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
}

impl Part {
    pub(super) fn results(self) -> Results {
        let mut warnings = warnings::collect(self.known, &self.clean, &self.rows, self.partial);
        let shown = self.probed.iter().flat_map(|probed| probed.findings(&self.rows));
        warnings.extend(shown);
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
            warnings,
        }
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
