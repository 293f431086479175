//! Errors of an ONNX classifier on corrupted images, from the command line. See `--help`.

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
use ironbound::corruption::{Kind, ParameterSet, Severity};
use ironbound::report::CorruptionReport;
use ironbound::{Corruptions, Error, Model, Result};

use loading::Loading;
use progress::Progress;

const EXAMPLES: &str = "\
Examples:
  corruptions model.onnx --data test.npz --json model.json
      the error under each of the 15 corruptions at severities 1 to 5
  corruptions model.onnx --data test.npz --kind fog,snow --severity 3,5 --limit 200
      two corruptions at two severities, on the first 200 samples
  corruptions other.onnx --data test.npz --baseline model.json
      mCE: the errors as shares of another model's, whose file --json wrote

  corruptions model.onnx --data test.npz --fail-over 0.3 --quiet
      a gate for CI: exit code 1 when the mean corruption error is above 30 %

Exit codes:
  0    done, and the gate passed
  1    the gate of --fail-over failed
  2    bad usage, bad data, or a missing file
  3    a model file that is there but cannot be parsed, typed or run
  130  interrupted";

/// Measures how an ONNX classifier does on images with the common corruptions of Hendrycks & Dietterich 2019: noise, blur,
/// weather and compression, without an adversary.
#[derive(Debug, Parser)]
#[command(name = "corruptions", version, after_help = EXAMPLES)]
struct Args {
    /// The model file
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The images: npz (arrays `x`, samples first, and `y`, classes from 0), npy, IDX (MNIST), CIFAR (.bin) or CSV,
    /// or a folder of images, FOLDER/CLASS/IMAGE.png
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    loading: Loading,
    /// Black and white
    #[arg(long, value_name = "LO,HI", default_value = "0,1", allow_hyphen_values = true)]
    bounds: String,
    /// The corruptions, such as fog,snow [default: all]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// The severities [default: 1,2,3,4,5]
    #[arg(long, value_name = "1-5", value_delimiter = ',')]
    severity: Vec<u8>,
    /// For which size of image the parameters are: auto (the images'), cifar or imagenet
    #[arg(long, value_name = "SET", default_value = "auto")]
    parameters: String,
    /// How many samples to look at [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Keys every random draw: the same seed gives the same report
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The file of another model, run the same way, to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write the record to this file (schema ironbound/corruptions/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Exit with code 1 when the mean corruption error is above P, a share such as 0.3
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    fail_over: Option<f64>,
    /// Print nothing but errors and a failed gate
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.json {
        shell::expect_folder(path)?;
    }
    let (bounds, options) = (loading::bounds(&args.bounds)?, args.loading.reading.options()?);
    let kinds: Vec<Kind> = args.kind.iter().map(|kind| kind.parse()).collect::<Result<_>>()?;
    let severities: Vec<Severity> =
        args.severity.iter().map(|severity| Severity::new(*severity)).collect::<Result<_>>()?;
    let parameters: ParameterSet = args.parameters.parse()?;
    if let Some(most) = args.fail_over.filter(|most| !(0.0..=1.0).contains(most)) {
        let expected = "expected a share from 0 to 1, such as 0.3";
        return Err(loading::fault("fail-over", &most.to_string(), expected));
    }
    let unread = |path: &PathBuf| {
        let path = path.clone();
        move |source| Error::Io { path, source }
    };
    let baseline = args.baseline.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).map_err(unread(path))?;
        CorruptionReport::from_json(&text, &path.display().to_string())
    });
    let baseline = baseline.transpose()?;
    // A missing data file is told at once, not after minutes of loading a model.
    std::fs::metadata(&args.data).map_err(unread(&args.data))?;
    let model = Model::load_with(&args.model, &args.loading.model()?)?;
    let data = loading::read(&args.data, &options, &model)?.subset(0, args.limit)?;
    let progress = Progress::new(args.quiet);
    let counter = progress.counter("samples");
    let mut sweep = Corruptions::new(&model, &data)
        .progress(&counter)
        .bounds(bounds)
        .parameters(parameters)
        .seed(args.seed)
        .cancel(interrupt::stop_on_interrupt());
    if !kinds.is_empty() {
        sweep = sweep.kinds(&kinds);
    }
    if !severities.is_empty() {
        sweep = sweep.severities(&severities);
    }
    let mut report = CorruptionReport::new(&sweep.run()?);
    if let Some(baseline) = &baseline {
        report = report.against(baseline)?;
    }
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the file nor the exit code.
        let _ = std::io::stdout().write_all(report.to_text().as_bytes());
    }
    if let Some(path) = &args.json {
        report.save(path)?;
    }
    match (report.mean_error, args.fail_over) {
        (Some(error), Some(most)) if error > most => {
            let (error, most) = (100.0 * error, 100.0 * most);
            eprintln!("gate failed: the mean corruption error is {error:.1} %, above {most:.1} %");
            Ok(shell::FAILED)
        }
        _ => Ok(shell::DONE),
    }
}
