//! Models on data sets under the same attacks, from one TOML file. See `--help`.

#[path = "../common/interrupt.rs"]
mod interrupt;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/reports.rs"]
mod reports;
#[path = "../common/shell.rs"]
mod shell;
#[path = "../common/suites.rs"]
mod suites;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use suites::SuiteArgs;

const EXAMPLES: &str = "\
Examples:
  suite suite.toml
      every model of the file on every data set of it, and a leaderboard per data set
  suite suite.toml --reports reports --markdown leaderboard.md --quiet
      a gate for CI: exit code 1 when a gate of the file does not hold; a report per pair in reports/DATA/MODEL.json

A suite file, whose paths are relative to it:
  seed = 0                                      optional, as offset and limit (samples of each data set)
  attacks = [\"noise\", \"pgd:steps=40\"]           as for `evaluate --attack`
  gates = [\"clean >= 0.90\", \"worst_case.linf@8/255 >= 0.40\", \"per_class.min >= 0.2\"]

  [[threats]]
  norm = \"linf\"                                 linf, l2, l1 or l0
  eps = [\"8/255\", 0.1]
  bounds = [0, 1]                               optional, as goal (\"random\", { class = 3 }, ...) and domain

  [[data]]
  path = \"test.npz\"                             or another file, or a folder of images; optional: name, bounds ([0, 255], or
                                                \"data\": those of each feature, as tables have), and as the flags of
                                                `evaluate`: keys = [\"x\", \"y\"], labels, label, drop = [], groups = [],
                                                class_names, raw_pixels = true, resize = 256, layout

  [[models]]
  path = \"model.onnx\"                           optional: name, expect_sha256, options (input, output, preprocessing, ...)
  baseline = \"fp32.json\"                        optional: a report, or the name of a model that stands before
  gates = [\"drop_from_baseline <= 0.02\"]        optional: more gates, for this model

Exit codes:
  0    done, and every gate holds
  1    a gate does not hold
  2    bad usage, a fault in the suite file, bad data, or a missing file
  3    a model file that is there but cannot be parsed, typed or differentiated
  130  interrupted; the reports so far are written, the last one is marked partial";

/// Evaluates every model of a suite on every data set of it, judges the gates, and ranks the models.
#[derive(Debug, Parser)]
#[command(name = "suite", version, after_help = EXAMPLES)]
struct Args {
    /// The suite file
    #[arg(value_name = "SUITE.toml")]
    suite: PathBuf,
    #[command(flatten)]
    more: SuiteArgs,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let Args { suite, more } = Args::parse();
    ExitCode::from(suites::run(&suite, &more).unwrap_or_else(|error| shell::report(&error)))
}
