//! Clean and robust accuracy of an ONNX classifier, from the command line. See `--help`.

mod args;
mod gate;
mod progress;
mod request;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use ironbound::report::{Report, save_adversarial};
use ironbound::{Cancel, Error, Evaluation, Result};

use args::Args;
use progress::Progress;
use request::Request;

/// Done, and the gate passed.
const DONE: u8 = 0;
/// The gate failed.
const BELOW: u8 = 1;
/// Bad usage, bad data, a missing file. Clap exits with it, too.
const USAGE: u8 = 2;
/// A model file that is there but cannot be parsed, typed or differentiated.
const MODEL: u8 = 3;
/// Interrupted: what a shell reports of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let code = run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("error: {}", error.one_line());
        if error.is_model() { MODEL } else { USAGE }
    });
    ExitCode::from(code)
}

fn run(args: &Args) -> Result<u8> {
    let request = Request::new(args)?;
    let (model, data) = request.load()?;
    let cancel = stop_on_interrupt();
    let progress = Progress::new(!args.quiet && std::io::stderr().is_terminal());
    let mut evaluation = Evaluation::new(&model, &data)
        .seed(args.seed)
        .range(args.offset, args.limit)
        .observer(&progress)
        .cancel(cancel);
    for threat in request.threats {
        evaluation = evaluation.threat(threat);
    }
    for attack in request.attacks {
        evaluation = evaluation.attack(attack);
    }
    if let Some(threads) = args.threads {
        evaluation = evaluation.threads(threads);
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
    let saved = args.json.as_ref().map_or(Ok(()), |path| report.save(path));
    let found = args.save_adversarial.as_ref();
    found.map_or(Ok(0), |path| save_adversarial(&results, path))?;
    saved?;
    if report.partial {
        eprintln!("interrupted: the report holds what was finished");
        return Ok(INTERRUPTED);
    }
    match request.fail_under.and_then(|least| gate::failure(&report, least)) {
        Some(failure) => {
            eprintln!("gate failed: {failure}");
            Ok(BELOW)
        }
        None => Ok(DONE),
    }
}

/// Ctrl-C ends the run with the report so far; a second one ends it at once.
fn stop_on_interrupt() -> Cancel {
    let cancel = Cancel::default();
    let asked = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        if asked.is_cancelled() {
            std::process::exit(INTERRUPTED.into());
        }
        asked.cancel();
    });
    if let Err(error) = handler {
        log::warn!("Ctrl-C will end the run without a report: {error}");
    }
    cancel
}

/// Fails now rather than after the run when `path` could not be written.
fn expect_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let fault = |source| Error::Io { path: path.into(), source };
    if path.is_dir() {
        return Err(fault(std::io::ErrorKind::IsADirectory.into()));
    }
    std::fs::metadata(folder).map_err(fault)?;
    Ok(())
}
