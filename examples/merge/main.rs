//! The parts of an evaluation as one, from the command line. See `--help`.

#[path = "../common/files.rs"]
mod files;
#[path = "../common/gates.rs"]
mod gates;
#[path = "../common/shell.rs"]
mod shell;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironbound::report::{GateSpec, save_adversarial};
use ironbound::{Error, Report, Result, merge};

use files::Files;

const EXAMPLES: &str = "\
Examples:
  evaluate model.onnx --data test.npz --eps 8/255 --shard 1/2 --checkpoint 1.jsonl
  evaluate model.onnx --data test.npz --eps 8/255 --shard 2/2 --checkpoint 2.jsonl
      the two halves, on one machine or on two
  merge 1.jsonl 2.jsonl --json report.json
      the report that one run over all samples would have given, bit for bit

Exit codes:
  0    done, and the gates passed
  1    a gate failed
  2    bad usage, a missing file, or shards that do not make one run: the message names file and field";

/// Puts the shards of an evaluation together: one checkpoint each, in any order.
///
/// Shards that are missing, unfinished, there twice, or of another run are refused by name.
#[derive(Debug, Parser)]
#[command(name = "merge", version, after_help = EXAMPLES)]
struct Args {
    /// The checkpoints of all shards
    #[arg(value_name = "CHECKPOINT.jsonl", required = true)]
    checkpoints: Vec<PathBuf>,
    #[command(flatten)]
    files: Files,
    /// Write the adversarial points to this file (x, y, prediction, sample, row, eps, distance)
    #[arg(long, value_name = "FILE.npz")]
    save_adversarial: Option<PathBuf>,
    /// Exit with code 1 when a gate does not hold, such as "`worst_case.linf@8/255 >= 0.40`"; repeat it for more. `evaluate --help`
    /// lists them; the report can be compared with a baseline by `compare`
    #[arg(long, value_name = "GATE")]
    gate: Vec<String>,
    /// Print nothing but errors and a failed gate
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    for path in args.files.paths().chain(&args.save_adversarial) {
        shell::expect_folder(path)?;
    }
    let gates: Vec<GateSpec> = args.gate.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    gates::expect_some(&gates, args.files.attestation.as_deref())?;
    if let Some(gate) = gates.iter().find(|gate| gate.needs_baseline()) {
        let expected = "there is no baseline here; `compare --max-drop` takes two reports".into();
        return Err(Error::Parameter { field: "gate".into(), value: gate.to_string(), expected });
    }
    let results = merge(&args.checkpoints)?;
    let report = Report::new(&results);
    if !args.quiet {
        // A reader that went away, such as `head`, must not cost the files.
        let _ = std::io::stdout().write_all(report.to_text().as_bytes());
    }
    let gates: Vec<_> = gates.iter().map(|gate| gate.judge(&report, None)).collect();
    args.files.save(&results, &report, &gates)?;
    if let Some(path) = &args.save_adversarial {
        save_adversarial(&results, path)?;
    }
    Ok(gates::exit_code(&gates))
}
