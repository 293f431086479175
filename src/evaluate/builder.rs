//! What to evaluate, and how.

use std::path::PathBuf;
use std::sync::Arc;

use super::events::{Observer, Silent};
use super::results::Results;
use super::shard::Shard;
use super::source::Source;
use super::stopping::Stopping;
use crate::attack::AnyAttack;
use crate::cancel::Cancel;
use crate::data::{Dataset, StreamedDataset};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::threat::Threat;

/// An evaluation: a model, labelled samples, threats and attacks.
///
/// Defaults: no threat, no attack (a clean pass), seed 0, all samples, all cores, no query limit, a preflight first.
#[derive(Clone)]
pub struct Evaluation<'a> {
    pub(super) model: &'a dyn Classifier,
    pub(super) data: Source<'a>,
    pub(super) threats: Vec<Threat>,
    pub(super) attacks: Vec<Arc<dyn AnyAttack>>,
    pub(super) seed: u64,
    pub(super) offset: usize,
    pub(super) limit: Option<usize>,
    pub(super) batch: Option<usize>,
    pub(super) block: Option<usize>,
    pub(super) threads: Option<usize>,
    pub(super) query_limit: Option<u64>,
    pub(super) shard: Shard,
    pub(super) checkpoint: Option<PathBuf>,
    pub(super) stopping: Option<Stopping>,
    pub(super) preflight: bool,
    pub(super) observer: &'a dyn Observer,
    pub(super) cancel: Cancel,
}

impl std::fmt::Debug for Evaluation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluation")
            .field("model", self.model.info())
            .field("threats", &self.threats)
            .field("attacks", &self.attacks)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl<'a> Evaluation<'a> {
    /// An evaluation of `model` on `data`, whose samples are brought into the shape of the model's input where that is
    /// unambiguous: see [`Dataset::reshaped_for`].
    #[must_use]
    pub fn new(model: &'a dyn Classifier, data: &'a Dataset) -> Self {
        Self::of(model, Source::Memory(data))
    }

    /// An evaluation of `model` on samples that are read block by block, so that memory does not grow with their number. All are
    /// read once before the first attack, which finds faults. Records are those of data in memory, but for attacks that start
    /// from samples of the data set or learn from them: they see 1024 evenly spaced ones, or 128 MiB of them. Adversarial points are not kept
    /// in the results (each is [empty](super::Adversarial::point)); a [`checkpoint`](Self::checkpoint) has them.
    #[must_use]
    pub fn streamed(model: &'a dyn Classifier, data: &'a StreamedDataset) -> Self {
        Self::of(model, Source::File(data))
    }

    fn of(model: &'a dyn Classifier, data: Source<'a>) -> Self {
        Self {
            model,
            data,
            threats: vec![],
            attacks: vec![],
            seed: 0,
            offset: 0,
            limit: None,
            batch: None,
            block: None,
            threads: None,
            query_limit: None,
            shard: Shard::WHOLE,
            checkpoint: None,
            stopping: None,
            preflight: true,
            observer: &Silent,
            cancel: Cancel::default(),
        }
    }

    /// Adds a threat: a norm with one budget. Add as many as the report shall have.
    #[must_use]
    pub fn threat(mut self, threat: Threat) -> Self {
        self.threats.push(threat);
        self
    }

    /// Adds an attack, to be run under every threat.
    #[must_use]
    pub fn attack(mut self, attack: impl AnyAttack + 'static) -> Self {
        self.attacks.push(Arc::new(attack));
        self
    }

    /// Keys every random draw.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Evaluates only the `limit` samples (all, when none) from index `offset` on. A sample's result does not depend on
    /// it: shards agree with the whole.
    #[must_use]
    pub fn range(self, offset: usize, limit: Option<usize>) -> Self {
        Self { offset, limit, ..self }
    }

    /// Evaluates only this part of the samples (of those of [`range`](Self::range)). A preflight looks at all of them, so that
    /// [`merge`](super::merge) can put the parts together as if they were one run: give each a
    /// [`checkpoint`](Self::checkpoint) of its own.
    #[must_use]
    pub fn shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// The file that keeps what became of each sample, as soon as it is known, so that a run that was interrupted or killed
    /// goes on where it was when it is started again. The results have the same bits as those of a run in one go. It is begun
    /// where it is not there; one of another run is refused, and one that is finished gives its results.
    #[must_use]
    pub fn checkpoint(self, path: impl Into<PathBuf>) -> Self {
        Self { checkpoint: Some(path.into()), ..self }
    }

    /// Samples of a [streamed](Self::streamed) data set that are in memory together; it changes memory and speed only.
    /// Default: 64 MiB of them.
    #[must_use]
    pub fn block(self, samples: usize) -> Self {
        Self { block: Some(samples), ..self }
    }

    /// Lets it end before the last sample, as soon as enough is known: see [`Stopping`]. Samples that it did not come to are
    /// unreached.
    #[must_use]
    pub fn stop(self, stopping: Stopping) -> Self {
        Self { stopping: Some(stopping), ..self }
    }

    /// Samples that are attacked together; it changes the speed only. Default: what the model
    /// prefers.
    #[must_use]
    pub fn batch(self, samples: usize) -> Self {
        Self { batch: Some(samples), ..self }
    }

    /// Threads to use; it changes the speed only. Default: rayon's, which is one per core.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Forward and backward passes that an attack may ask for, per sample and run: per budget, unless it looks for
    /// the smallest perturbation.
    #[must_use]
    pub fn query_limit(self, passes: u64) -> Self {
        Self { query_limit: Some(passes), ..self }
    }

    /// Whether to check the model and the data first, see [`Preflight`](crate::Preflight), and in the end to look closer at up to eight
    /// samples that every attack by gradients left robust, with at most 55 forward and 51 backward passes each. It adds to
    /// the warnings and changes nothing else.
    #[must_use]
    pub fn preflight(self, preflight: bool) -> Self {
        Self { preflight, ..self }
    }

    /// Whom to tell what happens.
    #[must_use]
    pub fn observer(self, observer: &'a dyn Observer) -> Self {
        Self { observer, ..self }
    }

    /// The flag that stops the run: what was finished by then comes back, marked partial.
    #[must_use]
    pub fn cancel(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// Runs it.
    ///
    /// An attack's error on a sample is that sample's outcome and does not end the run; neither does an interruption.
    ///
    /// # Errors
    /// Before any attack: [`Error::Parameter`] for a setting out of range, [`Error::Data`] for samples that do not fit
    /// the model, the bounds or the domain (see [`Dataset::realisable`]), or for a checkpoint that is none, or of another run,
    /// and the model's errors when it cannot be run, or not differentiated although an
    /// attack needs it.
    pub fn run(&self) -> Result<Results> {
        match self.threads {
            None => self.run_here(),
            Some(0) => Err(Error::parameter("threads", 0, "expected at least 1")),
            Some(threads) => {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let pool = pool.map_err(|error| {
                    Error::parameter("threads", threads, format!("could not start them: {error}"))
                })?;
                pool.install(|| self.run_here())
            }
        }
    }

    fn run_here(&self) -> Result<Results> {
        match (self.data, self.stopping) {
            (Source::Memory(data), None) => data.bound_to(self.model, |model, data| {
                Evaluation { model, ..self.clone() }.run_bound(data)
            }),
            _ => self.run_blocks(),
        }
    }
}
