//! How many samples a plan takes, and which plans run a batch.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use super::graph::Graph;
use super::job::{Job, Others, Rows};
use super::plan::{Kind, Plan};
use super::precise::Precise;
use crate::error::{Error, Result};
use crate::profile::{self, Stage};

/// How far a re-batched plan may differ from single runs, relative to the largest logit of the row.
const BATCH_TOLERANCE: f32 = 1e-3;

/// Runs batches of any size, from any number of threads, through plans of one fixed size per kind.
///
/// The size is fixed because tract chooses its kernels by the shape: another size may give other last bits, and a
/// sample's result must not depend on how many others are run with it. Short batches are padded. A size above one
/// is used only once a probe of real samples came out as single runs do, and bit for bit the same at every position.
/// Where it also has the bits of single runs, the two stand in for each other.
#[derive(Debug)]
pub(super) struct Runner {
    pub graph: Graph,
    plans: Mutex<HashMap<(Kind, usize), Arc<Plan>>>,
    forward: OnceLock<Size>,
    gradient: OnceLock<Size>,
    one_by_one: OnceLock<String>,
    /// None in it: the graph does not run in double precision.
    precise: OnceLock<Option<Precise>>,
}

/// How many samples a plan takes.
#[derive(Clone, Copy, Debug)]
struct Size {
    rows: usize,
    /// Whether each has the bits that it has alone.
    is_as_alone: bool,
}

impl Size {
    const ONE: Self = Self { rows: 1, is_as_alone: true };
}

/// What a probe of a re-batched plan found.
#[derive(Debug)]
pub(super) enum Probe {
    /// Right, wherever in the batch a sample is.
    Stable {
        /// Whether each sample has the bits that it has alone.
        is_as_alone: bool,
    },
    /// Right, but a sample's last bits depend on its position.
    Unstable,
    /// Not to be had, and why.
    Fixed(String),
    /// Wrong, and how.
    Wrong(String),
}

impl Runner {
    pub(super) fn new(graph: Graph) -> Self {
        Self {
            graph,
            plans: Mutex::default(),
            forward: OnceLock::new(),
            gradient: OnceLock::new(),
            one_by_one: OnceLock::new(),
            precise: OnceLock::new(),
        }
    }

    /// Why samples run one at a time although the graph asked for more, once that is known.
    pub(super) fn one_by_one(&self) -> Option<&str> {
        self.one_by_one.get().map(String::as_str)
    }

    /// Runs a job of any number of rows.
    pub(super) fn run(&self, job: Job<'_>) -> Result<()> {
        if job.rows == 0 {
            return Ok(());
        }
        profile::count(job.rows, job.backward.is_some());
        let size = *self.size_of(job.kind()).get_or_init(|| self.settle(&job));
        self.run_in(size, job)
    }

    /// Gives each row the bits that the plan for one sample gives it.
    pub(super) fn run_singly(&self, job: Job<'_>) -> Result<()> {
        if job.rows == 0 {
            return Ok(());
        }
        let size = self.size_of(job.kind()).get().copied();
        self.run_in(size.filter(|size| size.is_as_alone).unwrap_or(Size::ONE), job)
    }

    /// Whether the first run is done, which says how many samples plans of a kind take.
    pub(super) fn has_run(&self, kind: Kind) -> bool {
        self.size_of(kind).get().is_some()
    }

    fn size_of(&self, kind: Kind) -> &OnceLock<Size> {
        match kind {
            Kind::Forward => &self.forward,
            Kind::Gradient => &self.gradient,
        }
    }

    /// Runs a job of any number of rows through plans of a size.
    fn run_in(&self, size: Size, job: Job<'_>) -> Result<()> {
        if job.rows <= size.rows {
            return self.run_piece(size, job);
        }
        // While this thread waits for others, too.
        let _within = profile::enter(Stage::Forward);
        job.pieces(size.rows).into_par_iter().try_for_each(|piece| self.run_piece(size, piece))
    }

    /// Runs a job of at most `size` rows.
    fn run_piece(&self, size: Size, job: Job<'_>) -> Result<()> {
        if job.rows == size.rows {
            return self.run_plan(job);
        }
        // A few samples take less time alone than a padded batch does.
        if size.is_as_alone && job.rows <= size.rows / 4 {
            return job.pieces(1).into_iter().try_for_each(|one| self.run_plan(one));
        }
        let mut padded = Rows::cycle(&job, size.rows, |value, _, _| value);
        self.run_plan(padded.job())?;
        padded.write_to(job);
        Ok(())
    }

    /// The logits of one sample in double precision; none where the graph does not run in it, or gives other results.
    pub(super) fn precise(&self, input: &[f64], others: Others<'_>) -> Result<Option<Vec<f64>>> {
        let plan = self.precise.get_or_init(|| {
            let plan = Precise::build(&self.graph)?;
            let found = plan.run(input, others).ok()?;
            let mut logits = vec![0.0; found.len()];
            let single: Vec<f32> = input.iter().map(|x| *x as f32).collect();
            let job = Job { rows: 1, inputs: &single, others, logits: &mut logits, backward: None };
            self.run_plan(job).ok()?;
            Precise::agrees(&found, &logits).then_some(plan)
        });
        let Some(plan) = plan else { return Ok(None) };
        let fail = |cause| Error::model(&self.graph.name, "tract cannot run it", cause);
        plan.run(input, others).map(Some).map_err(fail)
    }

    /// How many samples a plan takes, as far as that is known.
    pub(super) fn preferred_batch(&self) -> usize {
        let settled = self.gradient.get().or(self.forward.get());
        settled.map_or(self.graph.batch, |size| size.rows)
    }

    fn run_plan(&self, job: Job<'_>) -> Result<()> {
        let plan = self.plan(job.kind(), job.rows)?;
        plan.run(job).map_err(|cause| Error::model(&self.graph.name, "tract cannot run it", cause))
    }

    fn plan(&self, kind: Kind, batch: usize) -> Result<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&(kind, batch)) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::build(&self.graph, kind, batch)?);
        plans.insert((kind, batch), Arc::clone(&plan));
        Ok(plan)
    }

    /// Finds the number of samples that plans of this job's kind take.
    fn settle(&self, job: &Job<'_>) -> Size {
        let rows = self.graph.batch;
        if rows == 1 {
            return Size::ONE;
        }
        match self.probe(job, rows) {
            Probe::Stable { is_as_alone } => return Size { rows, is_as_alone },
            Probe::Unstable => {
                log::info!(
                    "{}: runs one sample at a time: in a batch its last bits depend on the position",
                    self.graph.name
                );
            }
            Probe::Fixed(reason) | Probe::Wrong(reason) => {
                self.one_by_one.get_or_init(|| {
                    log::warn!("{}: runs one sample at a time: {reason}", self.graph.name);
                    reason
                });
            }
        }
        Size::ONE
    }

    /// Probes a forward plan for `size` samples, which is then forgotten; a settled batch says it all.
    pub(super) fn probe_forward(&self, job: &Job<'_>, size: usize) -> Probe {
        if let Some(&Size { is_as_alone, .. }) = self.forward.get().filter(|size| size.rows > 1) {
            return Probe::Stable { is_as_alone };
        }
        let probe = self.probe(job, size);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.remove(&(Kind::Forward, size));
        probe
    }

    /// Compares a plan for `size` samples with single runs, and with itself on the same samples in another order.
    fn probe(&self, job: &Job<'_>, size: usize) -> Probe {
        // Every row of the probe is another one, also where the job holds a single sample, or one of zeros.
        let vary = |value: f32, row: usize, feature: usize| {
            value * (1.0 - 0.01 * row as f32) + 0.02 * ((31 * row + 17 * feature) % 7) as f32
        };
        let mut together = Rows::cycle(job, size, vary);
        if let Err(error) = self.run_plan(together.job()) {
            let cause = error.source().map_or_else(String::new, |cause| format!(" ({cause})"));
            return Probe::Fixed(format!("the graph takes no batch of {size}{cause}"));
        }
        let mut alone = Rows::cycle(job, size, vary);
        for one in alone.job().pieces(1) {
            if let Err(error) = self.run_plan(one) {
                return Probe::Wrong(error.to_string());
            }
        }
        if let Some(row) = together.first_row_unlike(&alone, BATCH_TOLERANCE) {
            return Probe::Wrong(format!(
                "in a batch of {size} the graph gives {:?} for a sample, alone {:?}",
                together.logits_of(row),
                alone.logits_of(row)
            ));
        }
        let mut rotated = together.rotated();
        match self.run_plan(rotated.job()) {
            Ok(()) if rotated.has_bits_of(&together, 1) => {
                Probe::Stable { is_as_alone: together.has_bits_of(&alone, 0) }
            }
            Ok(()) => Probe::Unstable,
            Err(error) => Probe::Wrong(error.to_string()),
        }
    }
}
