//! Where the time of a run goes.
//!
//! A process has one profile, which every model, evaluation and thread of it adds to once it is [started](start).
//!
//! # Example
//! ```no_run
//! use ironbound::attack::Pgd;
//! use ironbound::profile::{self, Stage};
//! use ironbound::{DataOptions, Dataset, Evaluation, Model, Norm, Threat};
//!
//! # fn main() -> ironbound::Result<()> {
//! profile::start();
//! let model = Model::load("model.onnx")?;
//! let data = Dataset::open("data.npz", &DataOptions::default())?;
//! let threat = Threat::new(Norm::Linf, 8.0 / 255.0);
//! Evaluation::new(&model, &data).attack(Pgd::default()).threat(threat).run()?;
//! let profile = profile::stop();
//! println!("{:?} in the backward passes", profile.time(Stage::Backward));
//! println!("{profile}");
//! # Ok(())
//! # }
//! ```

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Reading and checking model files and data.
    Load,
    /// Differentiating and optimising graphs, once per kind and batch.
    Plan,
    /// Looking at the model and the data before the attacks, and at what they left.
    Preflight,
    /// Forward passes of attacks, alone or before a backward pass.
    Forward,
    /// Backward passes of attacks.
    Backward,
    /// What attacks do between passes: steps, projections, bookkeeping.
    Step,
    /// Passes and checks that decide what counts: the clean pass and every verdict.
    Judge,
    /// Rendering and writing.
    Report,
}

impl Stage {
    /// In the order in which a run comes to them.
    pub const ALL: [Self; 8] = [
        Self::Load,
        Self::Plan,
        Self::Preflight,
        Self::Forward,
        Self::Backward,
        Self::Step,
        Self::Judge,
        Self::Report,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Plan => "plan",
            Self::Preflight => "preflight",
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Step => "step",
            Self::Judge => "judge",
            Self::Report => "report",
        }
    }

    /// Whether the passes within it are its own.
    fn has_its_own_passes(self) -> bool {
        matches!(self, Self::Judge | Self::Preflight)
    }
}

/// What was measured between [`start`] and [`stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// Of all threads together, by [`Stage::ALL`].
    times: [Duration; Stage::ALL.len()],
    /// From the start to the stop.
    pub elapsed: Duration,
    /// Forward passes of attacks without a backward one, one per sample and point.
    pub forwards: u64,
    /// Gradients that attacks took, one per sample and point.
    pub gradients: u64,
}

impl Profile {
    /// How long all threads together were in a stage; stages within another count there alone.
    #[must_use]
    pub fn time(&self, stage: Stage) -> Duration {
        self.times[stage as usize]
    }

    /// Gradients per second that a thread was in forward or backward passes of attacks; none where it never was.
    #[must_use]
    pub fn gradients_per_second(&self) -> Option<f64> {
        let passes = self.time(Stage::Forward) + self.time(Stage::Backward);
        (self.gradients > 0 && !passes.is_zero())
            .then(|| self.gradients as f64 / passes.as_secs_f64())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: Duration = self.times.iter().sum();
        writeln!(f, "stage       seconds of all threads   share")?;
        for stage in Stage::ALL {
            let time = self.time(stage).as_secs_f64();
            let share = 100.0 * time / total.as_secs_f64().max(f64::MIN_POSITIVE);
            writeln!(f, "{:<10} {time:>23.3} {share:>6.1}%", stage.name())?;
        }
        let elapsed = self.elapsed.as_secs_f64();
        write!(f, "{elapsed:.3} s in all, {} gradients", self.gradients)?;
        if let Some(rate) = self.gradients_per_second() {
            write!(f, ", {rate:.0} per second of a thread's passes")?;
        }
        write!(f, ", {} other forward passes", self.forwards)
    }
}

/// Measures from now on; what was measured before is forgotten.
pub fn start() {
    let mut since = SINCE.lock().unwrap_or_else(PoisonError::into_inner);
    for counter in NANOSECONDS.iter().chain([&FORWARDS, &GRADIENTS]) {
        counter.store(0, Ordering::Relaxed);
    }
    *since = Some(Instant::now());
    IS_ON.store(true, Ordering::Relaxed);
}

/// Ends measuring, and says what was measured since the [`start`].
pub fn stop() -> Profile {
    IS_ON.store(false, Ordering::Relaxed);
    let since = SINCE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Profile {
        times: std::array::from_fn(|at| Duration::from_nanos(read(&NANOSECONDS[at]))),
        elapsed: since.map(|since| since.elapsed()).unwrap_or_default(),
        forwards: read(&FORWARDS),
        gradients: read(&GRADIENTS),
    }
}

/// Counts what `work` takes as a stage's, except for stages within it.
pub fn timed<T>(stage: Stage, work: impl FnOnce() -> T) -> T {
    let _within = enter(stage);
    work()
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static SINCE: Mutex<Option<Instant>> = Mutex::new(None);
static NANOSECONDS: [AtomicU64; Stage::ALL.len()] = [const { AtomicU64::new(0) }; Stage::ALL.len()];
static FORWARDS: AtomicU64 = AtomicU64::new(0);
static GRADIENTS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The stage that this thread is in, and since when.
    static CURRENT: Cell<Option<(Stage, Instant)>> = const { Cell::new(None) };
}

/// A stage, until it is dropped.
#[derive(Debug)]
#[must_use = "a stage ends when this is dropped"]
pub(crate) struct Within {
    /// Of the stage around; none where nothing is measured.
    outer: Option<Option<Stage>>,
}

/// Enters a stage.
pub(crate) fn enter(stage: Stage) -> Within {
    if !IS_ON.load(Ordering::Relaxed) {
        return Within { outer: None };
    }
    let outer = CURRENT.get().map(|(outer, _)| outer);
    let is_pass = matches!(stage, Stage::Forward | Stage::Backward | Stage::Step);
    if is_pass && outer.is_some_and(Stage::has_its_own_passes) {
        return Within { outer: None };
    }
    turn(Some(stage));
    Within { outer: Some(outer) }
}

impl Drop for Within {
    fn drop(&mut self) {
        if let Some(outer) = self.outer {
            turn(outer);
        }
    }
}

/// The forward pass ends, and a backward pass begins; nothing where these are not told apart.
pub(crate) fn turn_back() {
    if CURRENT.get().is_some_and(|(stage, _)| stage == Stage::Forward) {
        turn(Some(Stage::Backward));
    }
}

/// Counts passes, unless a stage has them as its own.
pub(crate) fn count(rows: usize, with_gradients: bool) {
    let is_own = || CURRENT.get().is_some_and(|(stage, _)| stage.has_its_own_passes());
    if IS_ON.load(Ordering::Relaxed) && !is_own() {
        let counter = if with_gradients { &GRADIENTS } else { &FORWARDS };
        counter.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

/// Ends the stage that this thread is in, and begins another.
fn turn(to: Option<Stage>) {
    let now = Instant::now();
    if let Some((stage, since)) = CURRENT.replace(to.map(|stage| (stage, now))) {
        let spent = now.duration_since(since).as_nanos() as u64;
        NANOSECONDS[stage as usize].fetch_add(spent, Ordering::Relaxed);
    }
}
