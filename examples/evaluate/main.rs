//! Clean and robust accuracy of an ONNX classifier, from the command line. See `--help`.

mod args;
mod data;
#[path = "../common/digits.rs"]
mod digits;
mod features;
#[path = "../common/files.rs"]
mod files;
#[path = "../common/gates.rs"]
mod gates;
#[path = "../common/interrupt.rs"]
mod interrupt;
#[path = "../common/loading.rs"]
mod loading;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/reports.rs"]
mod reports;
mod request;
#[path = "../common/share.rs"]
mod share;
#[path = "../common/shell.rs"]
mod shell;
#[path = "../common/suites.rs"]
mod suites;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use ironbound::Result;
use ironbound::attack::Transfer;
use ironbound::profile::{self, Stage};
use ironbound::report::{Comparison, Report, save_adversarial};

use args::Args;
use progress::Progress;
use request::Request;
use suites::SuiteArgs;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let args = Args::parse();
    if args.profile {
        profile::start();
    }
    let code = run(&args).unwrap_or_else(|error| shell::report(&error));
    if args.profile {
        eprintln!("\n{}", profile::stop());
    }
    ExitCode::from(code)
}

fn run(args: &Args) -> Result<u8> {
    if let Some(suite) = &args.suite {
        return suites::run(suite, &SuiteArgs::default());
    }
    let request = Request::new(args)?;
    let (model, data) = request.load()?;
    let surrogate = request.surrogate()?;
    let cancel = interrupt::stop_on_interrupt();
    let progress = Progress::new(args.quiet);
    let mut evaluation = data
        .evaluation(&*model)
        .seed(args.seed)
        .range(args.offset, args.limit)
        .preflight(!args.no_preflight)
        .observer(&progress)
        .cancel(cancel);
    for threat in request.threats(&*model, &data)? {
        evaluation = evaluation.threat(threat);
    }
    for attack in request.attacks.clone() {
        evaluation = match &surrogate {
            Some(other) => evaluation.attack(Transfer::new(Arc::clone(other), attack)),
            None => evaluation.attack(attack),
        };
    }
    if let Some(threads) = args.threads {
        evaluation = evaluation.threads(threads);
    }
    if let Some(shard) = request.shard {
        evaluation = evaluation.shard(shard);
    }
    if let Some(stopping) = request.stopping {
        evaluation = evaluation.stop(stopping);
    }
    if let Some(path) = &args.checkpoint {
        evaluation = evaluation.checkpoint(path);
    }
    if let Some(batch) = args.batch {
        evaluation = evaluation.batch(batch);
    }
    let results = evaluation.run()?;

    let report = Report::new(&results);
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the files nor the exit code.
        let _ = std::io::stdout().write_all(report.to_text().as_bytes());
    }
    let comparison = request.baseline.as_ref().map(|with| Comparison::new(&report, with));
    let gates: Vec<_> =
        request.gates.iter().map(|gate| gate.judge(&report, comparison.as_ref())).collect();
    let saved = profile::timed(Stage::Report, || args.files.save(&results, &report, &gates));
    let found = args.save_adversarial.as_ref();
    found.map_or(Ok(0), |path| save_adversarial(&results, path))?;
    saved?;
    if let Some(comparison) = comparison.transpose()?.filter(|_| !args.quiet) {
        let _ = write!(std::io::stdout(), "\n{}", comparison.to_text());
    }
    if report.partial {
        eprintln!("interrupted: the report holds what was finished");
        return Ok(shell::INTERRUPTED);
    }
    Ok(gates::exit_code(&gates))
}
