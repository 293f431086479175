//! On which features a classifier's answers hang, from the command line. See `--help`.

mod args;
#[path = "../common/attacking.rs"]
mod attacking;
#[path = "../common/digits.rs"]
mod digits;
#[path = "../common/interrupt.rs"]
mod interrupt;
#[path = "../common/loading.rs"]
mod loading;
mod pictures;
#[path = "../common/progress.rs"]
mod progress;
#[path = "../common/shell.rs"]
mod shell;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use ironbound::attack::AttackSpec;
use ironbound::explain::{Method, feature_use};
use ironbound::{
    Bounds, Cancel, Classifier, Dataset, Error, Evaluation, Explain, Model, Result, Threat,
};

use args::Args;
use loading::Limits;
use progress::Progress;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    args.npz.iter().try_for_each(|path| shell::expect_folder(path))?;
    let samples = args::samples(&args.samples)?;
    let limits = Limits::or_usual(args.bounds.as_deref(), args.data.as_deref())?;
    let (method, focus, score) =
        (args.method.parse::<Method>()?, args.class.parse()?, args.score.parse()?);
    method.explainer().validate()?;
    let attacks = attacking::attacks(&args.attack)?;
    let threat = attacking::threat(&args.norm, &args.eps, &Bounds::default())?;
    let (model, data) = load(args)?;
    let bounds = limits.of(&data, &model.info().shape)?;
    let threat = threat.with_bounds(bounds.clone());
    let cancel = interrupt::stop_on_interrupt();
    let explain = Explain::new(&model, &data).samples(samples).method(method);
    let explain = explain.focus(focus).score(score).seed(args.seed).cancel(cancel.clone());
    let progress = Progress::new(args.quiet);
    let counter = progress.counter("samples");
    let found = explain.progress(&counter).run()?;
    let mut text = found.to_text();
    if !attacks.is_empty() {
        text += &used(args, (&model, &data), threat, attacks, cancel)?;
    }
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the files nor the exit code.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    args.npz.as_ref().map_or(Ok(()), |path| found.save_npz(path))?;
    args.png.as_ref().map_or(Ok(()), |folder| pictures::save(&found, &bounds, folder))?;
    Ok(shell::DONE)
}

fn load(args: &Args) -> Result<(Model, Dataset)> {
    let (options, reading) = (args.loading.model()?, args.loading.reading.options()?);
    match (&args.model, &args.data) {
        (Some(model), Some(data)) => {
            // A missing data file is told at once, not after minutes of loading a model.
            std::fs::metadata(data).map_err(|source| Error::Io { path: data.clone(), source })?;
            let model = Model::load_with(model, &options)?;
            let data = loading::read(data, &reading, &model)?;
            Ok((model, data))
        }
        _ => digits::load(&options),
    }
}

/// Attacks, and says which features what succeeded changed.
fn used(
    args: &Args,
    (model, data): (&Model, &Dataset),
    threat: Threat,
    attacks: Vec<AttackSpec>,
    cancel: Cancel,
) -> Result<String> {
    let run = Evaluation::new(model, data).range(0, args.limit).seed(args.seed).threat(threat);
    let run = attacks.into_iter().fold(run, Evaluation::attack);
    let progress = Progress::new(args.quiet);
    let results = run.preflight(false).observer(&progress).cancel(cancel).run()?;
    if results.partial {
        return Err(Error::Cancelled);
    }
    let uses = feature_use(model, data, &results)?;
    Ok(uses.iter().map(|of| format!("\n{}", of.to_text(args.features))).collect())
}
