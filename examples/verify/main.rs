//! Stored adversarial points, run again, from the command line. See `--help`.

#[path = "../common/reading.rs"]
mod reading;
#[path = "../common/reports.rs"]
mod reports;
#[path = "../common/shell.rs"]
mod shell;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironbound::report::Verification;
use ironbound::{AdversarialPoints, Classifier, DataOptions, Error, Model, ObjectiveModel, Result};

use reading::Reading;

const EXAMPLES: &str = "\
Examples:
  evaluate model.onnx --data test.npz --json report.json --save-adversarial points.npz
  verify report.json --adversarial points.npz --model model.onnx --data test.npz
      is every point that the first command stored within its threat, and does the model still take it for the same class?

Columns:
  broken      samples that the report calls broken; one without a point is missing
  outside     points outside ball, bounds, mask or domain, or not where the recorded transformation leads to
  not fooled  points that the model takes for a class that is no success
  other       another class or size than was recorded, logits that are not finite, a sample that is wrong without an attack

Exit codes:
  0    every point holds, and none is missing
  1    some do not, or are missing
  2    bad usage, or other files than those of the report
  3    a model file that is there but cannot be parsed or typed";

/// Runs the adversarial points of an evaluation again, on the same model and data, and says which still hold.
///
/// The model is loaded as the report says.
#[derive(Debug, Parser)]
#[command(name = "verify", version, after_help = EXAMPLES)]
struct Args {
    /// The report, from `evaluate --json`
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// The points, from `evaluate --save-adversarial`
    #[arg(long, value_name = "POINTS.npz")]
    adversarial: PathBuf,
    /// The model file
    #[arg(long, value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The data, with the flags of the first run
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Write the verdicts to this file (schema ironbound/verification/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print nothing but errors, and how many points do not hold
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.json {
        shell::expect_folder(path)?;
    }
    let report = reports::read(&args.report)?;
    let points = AdversarialPoints::load(&args.adversarial)?;
    let (options, objective) = report.model.loading()?;
    let reading = DataOptions { unlabelled: objective.is_some(), ..args.reading.options()? };
    // A missing file is told at once, not after minutes of loading a model.
    std::fs::metadata(&args.data)
        .map_err(|source| Error::Io { path: args.data.clone(), source })?;
    let model = Model::load_with(&args.model, &options)?;
    let data = reading::read(&args.data, &reading, &model)?;
    let model: Box<dyn Classifier> = match objective {
        Some(kind) => Box::new(ObjectiveModel::new(model, kind.objective())?),
        None => Box::new(model),
    };
    let verification = Verification::new(&report, &points, &*model, &data)?;
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the file nor the exit code.
        let _ = std::io::stdout().write_all(verification.to_text().as_bytes());
    }
    args.json.as_ref().map_or(Ok(()), |path| verification.save(path))?;
    if verification.holds() {
        return Ok(shell::DONE);
    }
    eprintln!("{} points do not hold or are missing", verification.faults.len());
    Ok(shell::FAILED)
}
