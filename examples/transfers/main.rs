//! Which points that fool one model fool another, from the command line. See `--help`.

#[path = "../common/attacking.rs"]
mod attacking;
#[path = "../common/interrupt.rs"]
mod interrupt;
#[path = "../common/loading.rs"]
mod loading;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/shell.rs"]
mod shell;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironbound::attack::AttackSpec;
use ironbound::report::Transfers;
use ironbound::{
    Bounds, Cancel, Classifier, Dataset, Error, Evaluation, Model, Result, Results, Threat,
};

use loading::{Limits, Loading};
use progress::Progress;

const EXAMPLES: &str = "\
Examples:
  transfers released.onnx candidate.onnx --data test.npz --eps 8/255 --attack pgd
      do adversarial samples of one version fool the other?
  transfers a.onnx b.onnx c.onnx --data test.npz --norm l2 --eps 0.5,1 --attack mi-fgsm --json transfers.json
      three models, two budgets, an attack whose points carry over

Rows are the models whose adversarial points they are, columns the models that they are tried on: those of the points whose
sample the second model classifies correctly, and which share of them fools it. Most attacks stop at their first success, a
point that is barely wrong; mi-fgsm and pgd:early_stop=false go on.

Exit codes:
  0    done
  2    bad usage, bad data, or a missing file
  3    a model file that is there but cannot be parsed, typed or differentiated
  130  interrupted";

/// Attacks several ONNX classifiers on the same samples, and tries what fools each on all others.
#[derive(Debug, Parser)]
#[command(name = "transfers", version, after_help = EXAMPLES)]
struct Args {
    /// The model files, two or more; they take samples of one shape. The flags that say how a model is read hold for all
    #[arg(value_name = "MODEL.onnx", num_args = 2.., required = true)]
    models: Vec<PathBuf>,
    /// The samples: npz (arrays `x`, samples first, and `y`, classes from 0), npy, IDX (MNIST), CIFAR (.bin) or CSV,
    /// or a folder of images, FOLDER/CLASS/IMAGE.png
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    loading: Loading,
    /// How a perturbation is measured: linf, l2, l1 or l0
    #[arg(long, value_name = "NORM", default_value = "linf")]
    norm: String,
    /// Budgets in the units of the data
    #[arg(
        long,
        value_name = "EPS",
        value_delimiter = ',',
        default_value = "8/255",
        allow_hyphen_values = true
    )]
    eps: Vec<String>,
    /// An attack with parameters; repeat it for more
    #[arg(long, value_name = "NAME[:K=V,...]", default_value = "pgd")]
    attack: Vec<String>,
    /// The smallest and largest value of the data, data for those of each feature, or none [default: 0,1, of a table data]
    #[arg(long, value_name = "LO,HI|data|none", allow_hyphen_values = true)]
    bounds: Option<String>,
    /// How many samples to attack [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Keys every random draw: the same seed gives the same matrix
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the record to this file (schema ironbound/transfers/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    args.json.iter().try_for_each(|path| shell::expect_folder(path))?;
    let limits = Limits::or_usual(args.bounds.as_deref(), Some(&args.data))?;
    let (threats, attacks, options) =
        (threats(args)?, attacking::attacks(&args.attack)?, args.loading.model()?);
    let reading = args.loading.reading.options()?;
    // A missing file is told at once, not after minutes of loading a model.
    for path in args.models.iter().chain([&args.data]) {
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.clone(), source })?;
    }
    let models: Vec<Model> =
        args.models.iter().map(|path| Model::load_with(path, &options)).collect::<Result<_>>()?;
    let data = loading::read(&args.data, &reading, &models[0])?;
    let bounds = limits.of(&data, &models[0].info().shape)?;
    let threats: Vec<Threat> =
        threats.into_iter().map(|threat| threat.with_bounds(bounds.clone())).collect();
    let cancel = interrupt::stop_on_interrupt();
    let evaluate = |model: &Model| evaluate(args, (model, &data), &threats, &attacks, &cancel);
    let results: Vec<Results> = models.iter().map(evaluate).collect::<Result<_>>()?;
    let pairs: Vec<(&dyn Classifier, &Results)> =
        models.iter().zip(&results).map(|(model, results)| (model as _, results)).collect();
    let transfers = Transfers::new(&pairs, &data)?;
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the file nor the exit code.
        let _ = std::io::stdout().write_all(transfers.to_text().as_bytes());
    }
    args.json.as_ref().map_or(Ok(()), |path| transfers.save(path))?;
    Ok(shell::DONE)
}

fn threats(args: &Args) -> Result<Vec<Threat>> {
    let bounds = Bounds::default();
    args.eps.iter().map(|eps| attacking::threat(&args.norm, eps, &bounds)).collect()
}

fn evaluate(
    args: &Args,
    (model, data): (&Model, &Dataset),
    threats: &[Threat],
    attacks: &[AttackSpec],
    cancel: &Cancel,
) -> Result<Results> {
    let run = Evaluation::new(model, data).range(0, args.limit).seed(args.seed).preflight(false);
    let run = threats.iter().cloned().fold(run, Evaluation::threat);
    let run = attacks.iter().cloned().fold(run, Evaluation::attack);
    let progress = Progress::new(args.quiet);
    progress.say(&model.info().path);
    let results = run.observer(&progress).cancel(cancel.clone()).run()?;
    if results.partial { Err(Error::Cancelled) } else { Ok(results) }
}
