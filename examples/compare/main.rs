//! Two reports on the same data, sample by sample, from the command line. See `--help`.

#[path = "../common/reports.rs"]
mod reports;
#[path = "../common/share.rs"]
mod share;
#[path = "../common/shell.rs"]
mod shell;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironbound::Result;
use ironbound::report::Comparison;

const EXAMPLES: &str = "\
Examples:
  compare fp32.json int8.json
      what quantisation costs: both files are what `evaluate --json` wrote on the same samples
  compare released.json candidate.json --max-drop 2% --quiet
      a gate for CI: exit code 1 when clean or robust accuracy fell by more than 2 points

Columns:
  change         the model's accuracy less the baseline's, in points, with a bootstrap interval
  p              McNemar's exact test: how likely as uneven a split of the samples that the two disagree on is, were
                 neither better
  newly broken   samples that the baseline withstands and the model does not; their indices are in the --json file

Exit codes:
  0    done, and the gate passed
  1    the gate of --max-drop failed
  2    bad usage, or reports that cannot be compared";

/// Compares a model with a baseline, from the reports of `evaluate --json` on the same samples.
#[derive(Debug, Parser)]
#[command(name = "compare", version, after_help = EXAMPLES)]
struct Args {
    /// The report of the model that was there before
    #[arg(value_name = "BASELINE.json")]
    baseline: PathBuf,
    /// The report of the model that is compared with it
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// Exit with code 1 when an accuracy, clean or in the worst case under any threat of both, fell by more than P: a share
    /// such as 0.02, or a percentage such as 2%
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    max_drop: Option<String>,
    /// Write the comparison to this file (schema ironbound/comparison/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print nothing but errors and a failed gate
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
    let most = args.max_drop.as_deref().map(|text| share::read("max-drop", text)).transpose()?;
    let (baseline, report) = (reports::read(&args.baseline)?, reports::read(&args.report)?);
    let comparison = Comparison::new(&report, &baseline)?;
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the file nor the exit code.
        let _ = std::io::stdout().write_all(comparison.to_text().as_bytes());
    }
    args.json.as_ref().map_or(Ok(()), |path| comparison.save(path))?;
    match most.and_then(|most| comparison.drop_beyond(most)) {
        Some(failure) => {
            eprintln!("gate failed: {failure}");
            Ok(shell::FAILED)
        }
        None => Ok(shell::DONE),
    }
}
