//! Evaluations that have a part of the samples in memory at a time, or may stop before the last one.

use rand::seq::SliceRandom;

use super::builder::Evaluation;
use super::checkpoint::{Fingerprint, Opened, ValueHash};
use super::events::Plan;
use super::extent::Extent;
use super::part::{LeftOut, Part};
use super::results::Results;
use super::run::Whole;
use super::scheduler::Samples;
use super::source::Source;
use super::stopping::{Case, Stopping};
use crate::attack::Starts;
use crate::data::{Dataset, Snapped};
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::preflight::{Preflight, rehearse, spaced};
use crate::rng;

/// Values in a block of a file: 64 MiB.
const BLOCK: usize = 1 << 24;
/// Samples of a file from which attacks may start or learn, evenly spaced; fewer where they would take more than 128 MiB.
const STARTS: usize = 1024;

/// What a first reading of all samples shows.
struct Scan {
    values: String,
    extent: Extent<'static>,
    /// How the samples were brought into shape.
    notes: Vec<Finding>,
    snapped: Vec<Snapped>,
}

impl Evaluation<'_> {
    /// Runs it block by block.
    pub(super) fn run_blocks(&self) -> Result<Results> {
        let (total, info) = (self.data.len(), self.data.info());
        let range = self.range_of(total)?;
        if self.block == Some(0) {
            return Err(Error::parameter("block", 0, "expected at least 1"));
        }
        if let Some(stopping) = self.stopping {
            self.check(stopping)?;
        }
        let Some(Scan { values, extent, notes, snapped }) = self.scan(&range)? else {
            return Err(Error::Cancelled);
        };
        let run = || Fingerprint::of(self, &info, range.clone(), values);
        let checkpoint = match self.opened(run)? {
            Some(Opened::Finished(part)) => return Ok(part.results()),
            Some(Opened::Begun(checkpoint)) => Some(checkpoint),
            None => None,
        };
        let mut order: Vec<usize> =
            self.shard.range(range.len()).map(|place| range.start + place).collect();
        self.observer.started(Plan { samples: order.len(), rows: self.rows() });
        self.with_block(&[0], |run, data, _| rehearse(run.model, data, run.needs_gradients()))?;
        let looked_at = spaced(range.len(), Preflight::SAMPLES).map(|place| range.start + place);
        let known = self.with_block(&looked_at.collect::<Vec<_>>(), |run, data, _| {
            let snapped: Vec<_> = snapped.iter().filter_map(|snapped| snapped.note(data)).collect();
            let checked = run.checked(data, 0, None);
            Ok([&run.model.notes()[..], &notes, &snapped, &checked].concat())
        })?;
        let most = if self.data.is_stream() {
            STARTS.min((2 * BLOCK / self.model.features().max(1)).max(1))
        } else {
            total
        };
        let from: Vec<usize> = spaced(total, most).collect();
        let starts = self.with_block(&from, |_, data, _| Ok(data.clone()))?;
        let whole = Whole {
            data: info,
            groups: self.data.groups(),
            known,
            starts: Starts { points: starts.values(), labels: starts.labels(), ids: starts.ids() },
            extent,
            checkpoint: checkpoint.as_ref(),
        };

        let looks = match self.stopping {
            Some(_) => {
                order.shuffle(&mut rng::stream(self.seed, "stopping", 0, 0));
                Stopping::looks(order.len())
            }
            None => vec![order.len()],
        };
        let (mut all, mut found, mut done, mut stopped) = (None, vec![], 0, None);
        'run: for (at, &end) in looks.iter().enumerate() {
            for block in order[done..end].chunks(self.block_size()) {
                let mut block = block.to_vec();
                block.sort_unstable();
                let part = self.block_part(&block, &whole, &mut found, all.as_ref())?;
                done += block.len();
                let partial = part.partial;
                all = Part::merged(all.into_iter().chain([part]));
                if partial {
                    break 'run;
                }
            }
            if let (Some(stopping), Some(all)) = (self.stopping, &all) {
                let mut look = stopping.look(at + 1, &Case::all(all));
                look.reason = look.reason.filter(|_| done < order.len());
                let enough = look.reason.is_some();
                stopped = Some(look);
                if enough {
                    break;
                }
            }
        }
        let mut all = all.ok_or(Error::Cancelled)?;
        all.stopped = stopped;
        all.left_out = order[done..].iter().map(|&place| self.left_out(place)).collect();
        Ok(self.ended(all, checkpoint, found))
    }

    fn left_out(&self, place: usize) -> LeftOut {
        let sample = self.data.id(place);
        let groups = self.data.groups().iter().map(|of| of.of[sample]).collect();
        LeftOut { sample, label: self.data.labels()[place], groups }
    }

    /// What comes of the samples at these places; its points are left to the checkpoint where there are too many to keep.
    fn block_part(
        &self,
        places: &[usize],
        whole: &Whole<'_>,
        found: &mut Vec<Vec<Option<usize>>>,
        before: Option<&Part>,
    ) -> Result<Part> {
        let so_far = before.map_or((0, 0), |part| {
            let count = |is: fn(&super::Clean) -> bool| part.clean.iter().filter(|c| is(c)).count();
            (count(|clean| clean.correct), count(super::Clean::is_finished))
        });
        let part = self.with_block(places, |run, data, _| {
            run.part(Samples::of(data, 0..data.len()), whole, so_far)
        })?;
        if let Some(checkpoint) = whole.checkpoint {
            let of_part = checkpoint.found(&part);
            found.resize(of_part.len(), vec![]);
            found.iter_mut().zip(of_part).for_each(|(all, more)| all.extend(more));
        }
        Ok(if self.data.is_stream() { part.lean() } else { part })
    }

    fn check(&self, stopping: Stopping) -> Result<()> {
        stopping.validate()?;
        if self.shard.count() > 1 {
            let expected = "expected all samples: a part alone does not know when enough is known";
            return Err(Error::parameter("shard", self.shard, expected));
        }
        if self.attacks_anything() {
            return Ok(());
        }
        Err(Error::parameter("stopping", "without an attack", "expected a threat and an attack"))
    }

    /// Reads all samples, so that a fault is told before the first attack; none when the run was cancelled.
    fn scan(&self, range: &std::ops::Range<usize>) -> Result<Option<Scan>> {
        let total = (0..self.data.len()).map(|place| self.data.id(place) + 1).max().unwrap_or(0);
        let mut hash: Option<ValueHash> = None;
        let mut scan =
            Scan { values: String::new(), extent: Extent::none(0), notes: vec![], snapped: vec![] };
        let places: Vec<usize> = range.clone().collect();
        for block in places.chunks(self.block_size()) {
            if self.cancel.is_cancelled() {
                return Ok(None);
            }
            self.with_block(block, |run, data, snapped| {
                let hash = hash.get_or_insert_with(|| {
                    scan.extent = Extent::none(data.features());
                    scan.notes = data.notes().to_vec();
                    scan.snapped = vec![Snapped::default(); snapped.len()];
                    ValueHash::new(data.shape())
                });
                run.validate(total)?;
                hash.add(data.values());
                scan.extent.extend(data);
                scan.snapped.iter_mut().zip(snapped).for_each(|(all, more)| *all = all.and(*more));
                Ok(())
            })?;
        }
        let labels = &self.data.labels()[range.clone()];
        scan.values = hash.map(|hash| hash.end(labels)).unwrap_or_default();
        Ok(Some(scan))
    }

    /// Does something with the samples at these places, on a model that lacks nothing.
    fn with_block<T>(
        &self,
        places: &[usize],
        then: impl FnOnce(&Evaluation<'_>, &Dataset, &[Snapped]) -> Result<T>,
    ) -> Result<T> {
        self.data.read(places)?.bound_to(self.model, |model, data| {
            let run = Evaluation { model, data: Source::Memory(data), ..self.clone() };
            let (data, snapped) = run.prepared(data)?;
            then(&run, &data, &snapped)
        })
    }

    /// Samples in a block.
    fn block_size(&self) -> usize {
        match self.block {
            _ if !self.data.is_stream() => self.data.len(),
            Some(samples) => samples,
            None => (BLOCK / self.model.features().max(1)).max(1),
        }
    }
}
