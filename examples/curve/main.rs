//! Accuracy against the budget, from a stored report. See `--help`.

#[path = "../common/reports.rs"]
mod reports;
#[path = "../common/shell.rs"]
mod shell;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironbound::report::{Curve, save_text};
use ironbound::{Error, Norm, Report, Result};

const EXAMPLES: &str = "\
Examples:
  evaluate model.onnx --data test.npz --eps 1/255,2/255,4/255,8/255 --json report.json
  curve report.json
      robust accuracy in the worst case under each budget, with its 95 % interval
  curve report.json --norm linf --svg curve.svg
      the same as a plot, for a page or a paper

Exit codes:
  0    done
  2    bad usage, or a report without a curve";

/// Shows how robust accuracy falls with the budget.
#[derive(Debug, Parser)]
#[command(name = "curve", version, after_help = EXAMPLES)]
struct Args {
    /// The report, from `evaluate --json` with several budgets
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// The curve of this norm [default: the first one; in text: all]
    #[arg(long, value_name = "NORM")]
    norm: Option<Norm>,
    /// Write the plot to this file
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.svg {
        shell::expect_folder(path)?;
    }
    let report = reports::read(&args.report)?;
    let of = |curve: &Curve| args.norm.is_none_or(|norm| curve.norm == norm);
    let first = report.curves.iter().position(of).ok_or_else(|| Error::Parameter {
        field: "norm".into(),
        value: args.norm.map_or_else(|| "any".into(), |norm| norm.to_string()),
        expected: "the report has no such curve".into(),
    })?;
    if !args.quiet {
        let curves = report.curves.iter().filter(|curve| of(curve));
        let text: String = curves.map(|curve| table(&report, curve)).collect();
        // A reader that went away, such as `head`, must not cost the file.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    if let (Some(path), Some(svg)) = (&args.svg, report.curve_to_svg(first)) {
        save_text(path, &svg)?;
    }
    Ok(shell::DONE)
}

/// A line per budget, the first one without an attack.
fn table(report: &Report, curve: &Curve) -> String {
    let mut text = String::new();
    let clean = (0.0, report.clean.accuracy, report.clean.interval);
    let cases = curve.cases.iter().filter_map(|case| report.worst_case.get(*case));
    let cases = cases.map(|case| (case.eps.unwrap_or(0.0), case.robust_accuracy, case.interval));
    for (eps, accuracy, [lower, upper]) in std::iter::once(clean).chain(cases) {
        let share = accuracy.map_or_else(|| "-".into(), |of| format!("{:.1} %", 100.0 * of));
        let (lower, upper) = (100.0 * lower, 100.0 * upper);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {eps:<10.6}  {share:>7}  [{lower:.1}, {upper:.1}]", curve.norm);
    }
    text
}
