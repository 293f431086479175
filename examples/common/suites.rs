//! Suites, run.

use std::io::Write;
use std::path::{Path, PathBuf};

use ironbound::report::{Comparison, Gate, Leaderboard, Standing, save_text};
use ironbound::suite::{Reference, Suite, SuiteData, SuiteModel};
use ironbound::{Cancel, Error, Model, Report, Result};

use crate::progress::Progress;
use crate::{interrupt, reports, shell};

#[derive(Debug, Default, clap::Args)]
pub(crate) struct SuiteArgs {
    /// Write the report of each pair to this folder, as DATA/MODEL.json; folders are made
    #[arg(long, value_name = "FOLDER")]
    pub(crate) reports: Option<PathBuf>,
    /// Write the leaderboards to this file as Markdown, such as for a pull request
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Threads; the result does not depend on it [default: one per core]
    #[arg(long, value_name = "T")]
    pub(crate) threads: Option<usize>,
    /// Do not check the models and the data before the attacks
    #[arg(long)]
    pub(crate) no_preflight: bool,
    /// Print nothing but errors and failed gates
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Runs a suite file, and gives the exit code.
pub(crate) fn run(path: &Path, args: &SuiteArgs) -> Result<u8> {
    if let Some(path) = &args.markdown {
        shell::expect_folder(path)?;
    }
    let suite = Suite::load(path)?;
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
fn show(args: &SuiteArgs, boards: &[Leaderboard]) -> Result<()> {
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
    args: &'a SuiteArgs,
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
        let progress = Progress::new(self.args.quiet);
        progress.say(&format!("{} on {}", model.name, data.name));
        let mut run = self.suite.evaluation(loaded, data, &samples)?.observer(&progress);
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
