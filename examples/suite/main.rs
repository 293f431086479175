//! Models on data sets under the same attacks, from one TOML file. See `--help`.

#[path = "../common/interrupt.rs"]
mod interrupt;
#[path = "../evaluate/progress.rs"]
mod progress;
#[path = "../common/reports.rs"]
mod reports;
#[path = "../common/shell.rs"]
mod shell;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ironbound::report::{Comparison, Gate, Leaderboard, Standing, save_text};
use ironbound::suite::{Reference, Suite, SuiteData, SuiteModel};
use ironbound::{Cancel, Error, Model, Report, Result};

use progress::Progress;

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
  path = \"test.npz\"                             optional: name, keys = [\"x\", \"y\"], layout

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
    /// Write the report of each pair to this folder, as DATA/MODEL.json; folders are made
    #[arg(long, value_name = "FOLDER")]
    reports: Option<PathBuf>,
    /// Write the leaderboards to this file as Markdown, such as for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Threads; the result does not depend on it [default: one per core]
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Do not check the models and the data before the attacks
    #[arg(long)]
    no_preflight: bool,
    /// Print nothing but errors and failed gates
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.markdown {
        shell::expect_folder(path)?;
    }
    let suite = Suite::load(&args.suite)?;
    expect_files(&suite)?;
    let runner = Runner { suite: &suite, args, cancel: interrupt::stop_on_interrupt() };
    // Data set by data set, one standing per model.
    let mut standings: Vec<Vec<Standing>> = vec![vec![]; suite.data.len()];
    'models: for model in &suite.models {
        let loaded = model.load()?;
        for (data, standings) in suite.data.iter().zip(&mut standings) {
            let standing = runner.standing(model, &loaded, data, standings)?;
            let partial = standing.report.partial;
            standings.push(standing);
            if partial {
                break 'models;
            }
        }
    }
    let interrupted = standings.iter().flatten().any(|standing| standing.report.partial);
    let boards = suite.data.iter().zip(standings);
    let boards: Vec<_> = boards.map(|(data, all)| Leaderboard::new(&data.name, all)).collect();
    show(args, &boards)?;
    if interrupted {
        eprintln!("interrupted: the leaderboards hold what was finished");
        return Ok(shell::INTERRUPTED);
    }
    let mut code = shell::DONE;
    for (board, standing) in
        boards.iter().flat_map(|board| board.standings().iter().map(move |of| (board, of)))
    {
        for (gate, failure) in
            standing.gates.iter().filter_map(|gate| Some((gate, gate.failure.as_ref()?)))
        {
            eprintln!(
                "gate failed: {} on {}: {}: {failure}",
                standing.model,
                board.data(),
                gate.name
            );
            code = shell::FAILED;
        }
    }
    Ok(code)
}

/// A missing file is told at once, not after the first models.
fn expect_files(suite: &Suite) -> Result<()> {
    let models = suite.models.iter().map(|model| &model.path);
    let baselines = suite.models.iter().filter_map(|model| match &model.baseline {
        Some(Reference::Report(path)) => Some(path),
        _ => None,
    });
    for path in models.chain(baselines).chain(suite.data.iter().map(|data| &data.path)) {
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.clone(), source })?;
    }
    Ok(())
}

/// Text on the terminal, Markdown in its file.
fn show(args: &Args, boards: &[Leaderboard]) -> Result<()> {
    if !args.quiet {
        let text: Vec<_> = boards.iter().map(Leaderboard::to_text).collect();
        // A reader that went away, such as `head`, must cost neither the file nor the exit code.
        let _ = std::io::stdout().write_all(text.join("\n").as_bytes());
    }
    let markdown = || boards.iter().map(Leaderboard::to_markdown).collect::<Vec<_>>().join("\n");
    args.markdown.as_ref().map_or(Ok(()), |path| save_text(path, &markdown()))
}

struct Runner<'a> {
    suite: &'a Suite,
    args: &'a Args,
    cancel: Cancel,
}

impl Runner<'_> {
    /// One model on one data set, on which `before` stand already.
    fn standing(
        &self,
        model: &SuiteModel,
        loaded: &Model,
        data: &SuiteData,
        before: &[Standing],
    ) -> Result<Standing> {
        let samples = data.read(loaded)?;
        let visible = !self.args.quiet && std::io::stderr().is_terminal();
        if visible {
            eprintln!("{} on {}", model.name, data.name);
        }
        let progress = Progress::new(visible);
        let mut run = self.suite.evaluation(loaded, &samples).observer(&progress);
        run = run.preflight(!self.args.no_preflight).cancel(self.cancel.clone());
        if let Some(threads) = self.args.threads {
            run = run.threads(threads);
        }
        let report = Report::new(&run.run()?);
        if let Some(folder) = &self.args.reports {
            save(&report, &folder.join(&data.name), &model.name)?;
        }
        let gates = judge(model, &report, before)?;
        Ok(Standing { model: model.name.clone(), report, gates })
    }
}

fn save(report: &Report, folder: &Path, name: &str) -> Result<()> {
    let fault = |source| Error::Io { path: folder.into(), source };
    std::fs::create_dir_all(folder).map_err(fault)?;
    report.save(folder.join(format!("{name}.json")))
}

/// The gates of a model; those on a drop do not hold where the baseline is about other data.
fn judge(model: &SuiteModel, report: &Report, before: &[Standing]) -> Result<Vec<Gate>> {
    let comparison = match &model.baseline {
        Some(Reference::Report(path)) => Some(Comparison::new(report, &reports::read(path)?)),
        Some(Reference::Model(index)) => {
            before.get(*index).map(|standing| Comparison::new(report, &standing.report))
        }
        None => None,
    };
    Ok(model.gates.iter().map(|gate| gate.judge(report, comparison.as_ref())).collect())
}
