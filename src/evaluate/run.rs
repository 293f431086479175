//! How an evaluation goes: checks, the clean pass, the attacks, a closer look at what they left.

use super::builder::Evaluation;
use super::checkpoint::{Checkpoint, Fingerprint, Opened, ValueHash};
use super::clean;
use super::events::Plan;
use super::extent::Extent;
use super::judge::Judge;
use super::masking::Probe;
use super::part::Part;
use super::results::{DataInfo, Fate, Results};
use super::scheduler::{Aimed, Samples, Scheduler};
use crate::attack::Starts;
use crate::data::{Dataset, Grouping};
use crate::error::Result;
use crate::finding::Finding;
use crate::goal::Aim;
use crate::preflight::rehearse;

/// Batches of the model's that are attacked together, at the most.
const BATCHES: usize = 4;

/// What a part of a run takes of all samples.
pub(super) struct Whole<'w> {
    pub(super) data: DataInfo,
    /// Of all samples of the file.
    pub(super) groups: &'w [Grouping],
    /// What is known before the first attack.
    pub(super) known: Vec<Finding>,
    pub(super) starts: Starts<'w>,
    pub(super) extent: Extent<'w>,
    pub(super) checkpoint: Option<&'w Checkpoint>,
}

impl Evaluation<'_> {
    /// Runs it on a model that lacks nothing, and data in memory.
    pub(super) fn run_bound(&self, data: &Dataset) -> Result<Results> {
        let total = data.ids().iter().max().map_or(0, |last| last + 1);
        self.validate(total)?;
        let (data, snapped) = self.prepared(data)?;
        let snapped: Vec<_> = snapped.iter().filter_map(|snapped| snapped.note(&data)).collect();
        let range = self.range_of(data.len())?;
        let whole = Samples::of(&data, range.clone());
        let samples = whole.part(self.shard.range(whole.len()));
        let info = DataInfo::from(&*data);
        let values = || {
            let mut hash = ValueHash::new(data.shape());
            hash.add(whole.inputs);
            hash.end(whole.labels)
        };
        let checkpoint = match self.opened(|| Fingerprint::of(self, &info, range, values()))? {
            Some(Opened::Finished(part)) => return Ok(part.results()),
            Some(Opened::Begun(checkpoint)) => Some(checkpoint),
            None => None,
        };
        rehearse(self.model, &data, self.needs_gradients())?;
        self.observer.started(Plan { samples: samples.len(), rows: self.rows() });
        let checked = self.checked(&data, self.offset, self.limit);
        let part = self.part(
            samples,
            &Whole {
                data: info,
                groups: data.groups(),
                known: [&self.model.notes()[..], data.notes(), &snapped, &checked].concat(),
                starts: Starts { points: data.values(), labels: data.labels(), ids: data.ids() },
                extent: Extent::Of(whole),
                checkpoint: checkpoint.as_ref(),
            },
            (0, 0),
        )?;
        let found = checkpoint.as_ref().map(|file| file.found(&part)).unwrap_or_default();
        Ok(self.ended(part, checkpoint, found))
    }

    /// How many samples are attacked together: some batches of the model's, so that those which still stand fill batches when
    /// others are broken, but not so many that a thread has nothing to do.
    fn unit(&self, samples: usize) -> usize {
        let batch = self.model.preferred_batch().max(1);
        let shares = samples / (2 * rayon::current_num_threads() * batch);
        self.batch.unwrap_or(batch * if batch == 1 { 1 } else { shares.clamp(1, BATCHES) })
    }

    /// Some of the samples, without an attack and under every one; `so_far` is how many were right, and done, before.
    pub(super) fn part(
        &self,
        samples: Samples<'_>,
        whole: &Whole<'_>,
        so_far: (usize, usize),
    ) -> Result<Part> {
        let judge = Judge { model: self.model };
        let (mut clean, logits) = clean::pass(judge, samples, &self.cancel)?;
        let correct = clean.iter().filter(|clean| clean.correct).count();
        let finished = clean.iter().filter(|clean| clean.is_finished()).count();
        self.observer.clean_done(so_far.0 + correct, so_far.1 + finished);
        let aims: Vec<Vec<Option<Aim>>> =
            self.threats.iter().map(|threat| self.aims(threat, samples, &logits)).collect();
        let scheduler = Scheduler {
            judge,
            samples,
            clean: &clean,
            logits: &logits,
            seed: self.seed,
            batch: self.unit(samples.len()),
            query_limit: self.query_limit,
            starts: whole.starts,
            checkpoint: whole.checkpoint,
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
        let extent = &whole.extent;
        let probe = Probe { judge, samples, extent, seed: self.seed, cancel: &self.cancel };
        let probed = if self.preflight { probe.run(&rows) } else { None };
        clean::keep_inputs(&mut clean, &rows, samples);
        Ok(Part {
            seed: self.seed,
            partial,
            model: self.model.info().clone(),
            data: whole.data.clone(),
            ids: samples.ids.to_vec(),
            labels: samples.labels.to_vec(),
            groups: whole.groups.iter().map(|of| of.of_samples(samples.ids)).collect(),
            clean,
            rows,
            known: whole.known.clone(),
            probed,
            stopped: None,
            left_out: vec![],
        })
    }

    /// Ends the checkpoint; `found` says which run found each point, where there is one.
    pub(super) fn ended(
        &self,
        mut part: Part,
        checkpoint: Option<Checkpoint>,
        found: Vec<Vec<Option<usize>>>,
    ) -> Results {
        // An interrupted run may have been cut short anywhere, also in the preflight.
        let finished = !part.partial && !self.cancel.is_cancelled();
        if let Some(failure) = checkpoint.and_then(|file| file.end(&part, found, finished)) {
            part.known.push(failure);
        }
        self.observer.finished(part.partial);
        part.results()
    }

    /// The file that keeps what is known, if one is wanted.
    pub(super) fn opened(&self, run: impl FnOnce() -> Fingerprint) -> Result<Option<Opened>> {
        self.checkpoint.as_deref().map(|path| Checkpoint::open(path, &run())).transpose()
    }
}
