//! Serves measurements to `benches/peers/speed.py`: the model is loaded once, and contenders take turns.
//!
//! `cargo bench --bench speed -- MODEL.onnx DATA.npz [PLAN_BATCH]` answers each line of standard input with one of JSON:
//!
//! - `batch`: how many samples the model prefers to run together, once it has run
//! - `logits samples=2`: the logits of the first samples
//! - `forward samples=64 threads=2`, `gradient ...`: the model alone, all samples in one call
//! - `pgd steps=10 eps=1e-6 samples=64 threads=2`: a whole evaluation, from the clean pass to the verdicts, without the
//!   preflight; Linf, from the clean input, steps of eps / 4. `batch=16` sets how many samples it attacks together, and with
//!   `stop=1` a sample is done once it is broken
//!
//! `repeat=3` does it three times. An answer has the `seconds` that all of it took, and the `samples`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Instant;

use ironbound::attack::Pgd;
use ironbound::{
    Aim, Classifier, Dataset, Evaluation, LossGradient, LossKind, Model, ModelOptions, Norm, Threat,
};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;

/// A line of standard input.
#[derive(Debug)]
struct Request {
    steps: usize,
    eps: f64,
    samples: usize,
    threads: usize,
    repeat: usize,
    batch: Option<usize>,
    stop: usize,
}

impl Request {
    fn parse<'l>(settings: impl Iterator<Item = &'l str>) -> Result<Self, String> {
        let mut request =
            Self { steps: 10, eps: 1e-6, samples: 1, threads: 1, repeat: 1, batch: None, stop: 0 };
        for setting in settings {
            let bad = || {
                format!(
                    "`{setting}`: expected steps=, eps=, samples=, threads=, repeat=, batch= or stop= and a number"
                )
            };
            let (name, value) = setting.split_once('=').ok_or_else(bad)?;
            let count = || value.parse().map_err(|_| bad());
            match name {
                "steps" => request.steps = count()?,
                "eps" => request.eps = value.parse().map_err(|_| bad())?,
                "samples" => request.samples = count()?,
                "threads" => request.threads = count()?,
                "repeat" => request.repeat = count()?,
                "batch" => request.batch = Some(count()?),
                "stop" => request.stop = count()?,
                _ => return Err(bad()),
            }
        }
        Ok(request)
    }
}

struct Server {
    model: Box<dyn Classifier>,
    data: Dataset,
}

impl Server {
    fn answer(&self, line: &str) -> Result<Value, Failure> {
        let mut words = line.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let request = Request::parse(words)?;
        let held = self.data.len();
        if request.samples > held {
            return Err(format!("samples={}: the data hold {held}", request.samples).into());
        }
        match kind {
            "batch" => Ok(json!({ "batch": self.model.preferred_batch() })),
            "logits" => {
                let mut logits = vec![];
                self.model.logits(self.inputs(&request).into(), &mut logits)?;
                Ok(json!({ "logits": logits }))
            }
            "forward" => {
                let mut logits = vec![];
                timed(&request, || self.model.logits(self.inputs(&request).into(), &mut logits))
            }
            "gradient" => self.gradient(&request),
            "pgd" => self.pgd(&request),
            _ => Err(format!("`{kind}`: expected batch, logits, forward, gradient or pgd").into()),
        }
    }

    fn inputs(&self, request: &Request) -> &[f32] {
        &self.data.values()[..request.samples * self.data.features()]
    }

    fn gradient(&self, request: &Request) -> Result<Value, Failure> {
        let loss = LossKind::CrossEntropy.loss();
        let labels = &self.data.labels()[..request.samples];
        let aims: Vec<Aim> = labels.iter().map(|label| Aim::untargeted(*label)).collect();
        let mut out = LossGradient::default();
        let inputs = self.inputs(request);
        timed(request, || self.model.loss_and_gradient(inputs.into(), &aims, &loss, &mut out))
    }

    fn pgd(&self, request: &Request) -> Result<Value, Failure> {
        let attack = Pgd {
            steps: request.steps,
            rel_step: Some(0.25),
            random_start: false,
            early_stop: request.stop > 0,
            ..Pgd::default()
        };
        let mut run = Evaluation::new(&*self.model, &self.data)
            .threat(Threat::new(Norm::Linf, request.eps))
            .attack(attack)
            .range(0, Some(request.samples))
            .threads(request.threads)
            .preflight(false);
        if let Some(batch) = request.batch {
            run = run.batch(batch);
        }
        let (mut gradients, mut broken, mut wrong) = (0, 0, 0);
        let start = Instant::now();
        for _ in 0..request.repeat {
            let results = run.run()?;
            let row = &results.rows[0];
            gradients += row.attempts.iter().map(|attempt| attempt.backward).sum::<u64>();
            broken += row.broken();
            wrong += results.clean.iter().filter(|clean| !clean.correct).count();
        }
        let mut answer = measured(request, start);
        answer["gradients"] = gradients.into();
        answer["broken"] = broken.into();
        answer["wrong"] = wrong.into();
        Ok(answer)
    }
}

/// How long it takes on the threads asked for.
fn timed(
    request: &Request,
    mut work: impl FnMut() -> ironbound::Result<()> + Send,
) -> Result<Value, Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(request.threads).build()?;
    let start = Instant::now();
    pool.install(|| (0..request.repeat).try_for_each(|_| work()))?;
    Ok(measured(request, start))
}

fn measured(request: &Request, start: Instant) -> Value {
    json!({ "seconds": start.elapsed().as_secs_f64(), "samples": request.samples * request.repeat })
}

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let (model, data, plan_batch) = match &arguments[..] {
        [model, data] => (model, data, None),
        [model, data, plan_batch] => (model, data, Some(plan_batch)),
        _ => {
            println!("SKIPPED speed: it serves benches/peers/speed.py, which says how");
            return ExitCode::SUCCESS;
        }
    };
    match serve(model, data, plan_batch.map(String::as_str)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(model: &str, data: &str, plan_batch: Option<&str>) -> Result<(), Failure> {
    let plan_batch = plan_batch.map(str::parse).transpose()?;
    let options = ModelOptions { plan_batch, ..ModelOptions::default() };
    let server = Server {
        model: Box::new(Model::load_with(model, &options)?),
        data: Dataset::from_npz(data)?,
    };
    for line in std::io::stdin().lock().lines() {
        let answer =
            server.answer(&line?).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
