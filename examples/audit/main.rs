//! What is known of an ONNX classifier without attacking it, from the command line. See `--help`.

#[path = "../common/interrupt.rs"]
mod interrupt;
#[path = "../common/loading.rs"]
mod loading;
#[path = "../common/shell.rs"]
mod shell;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ironbound::{Audit, Classifier, Error, Model, Norm, Preflight, Result, Threat};

use loading::{Limits, Loading};

const EXAMPLES: &str = "\
Examples:
  audit model.onnx
      its inputs and outputs, its operators, whether it can be attacked by gradients; on drawn samples
  audit model.onnx --data test.npz --bounds 0,1
      on real samples as well: accuracy, range, saturated units, vanishing gradients
  audit model.onnx --data test.npz --json audit.json --quiet
      a gate for CI: exit code 1 when a finding is an error

Exit codes:
  0    done, and no finding is an error
  1    a finding is an error
  2    bad usage, bad data, or a missing file
  3    a model file that is there but cannot be parsed, typed or run
  130  interrupted";

/// Looks at an ONNX classifier before it is attacked: what is attacked, what its gradients are worth, what is amiss.
#[derive(Debug, Parser)]
#[command(name = "audit", version, after_help = EXAMPLES)]
struct Args {
    /// The model file
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The samples: npz (arrays `x`, samples first, and `y`, classes from 0), npy, IDX (MNIST), CIFAR (.bin) or CSV,
    /// or a folder of images, FOLDER/CLASS/IMAGE.png [default: drawn from the range of the input]
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    #[command(flatten)]
    loading: Loading,
    /// The smallest and largest value of the data, which it is checked against, data for those of each feature, or none
    #[arg(
        long,
        value_name = "LO,HI|data|none",
        default_value = "none",
        allow_hyphen_values = true
    )]
    bounds: String,
    /// How many samples to look at, at the most
    #[arg(long, value_name = "N", default_value_t = Preflight::SAMPLES)]
    samples: usize,
    /// Keys the samples that are drawn where there is no data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the audit to this file (schema ironbound/audit/1)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.json {
        shell::expect_folder(path)?;
    }
    let (limits, options) = (Limits::read(&args.bounds)?, args.loading.reading.options()?);
    if let Some(path) = &args.data {
        // A missing data file is told at once, not after minutes of loading a model.
        std::fs::metadata(path).map_err(|source| Error::Io { path: path.clone(), source })?;
    }
    let model = Model::load_with(&args.model, &args.loading.model()?)?;
    let data = args.data.as_ref().map(|path| loading::read(path, &options, &model)).transpose()?;
    let bounds = match (&data, limits) {
        (Some(data), limits) => limits.of(data, &model.info().shape)?,
        (None, Limits::Given(bounds)) => bounds,
        (None, Limits::OfData) => {
            let expected = "expected --data, whose features have them";
            return Err(loading::fault("bounds", "data", expected));
        }
    };
    let preflight = match &data {
        Some(data) => Preflight::new(&model, data),
        None => Preflight::without_data(&model),
    };
    let preflight = preflight
        .samples(args.samples)
        .seed(args.seed)
        .threat(Threat::new(Norm::Linf, 0.0).with_bounds(bounds))
        .cancel(interrupt::stop_on_interrupt());
    let audit = Audit::new(&preflight)?;
    if !args.quiet {
        // A reader that went away, such as `head`, must cost neither the file nor the exit code.
        let _ = std::io::stdout().write_all(audit.to_text().as_bytes());
    }
    if let Some(path) = &args.json {
        audit.save(path)?;
    }
    Ok(if audit.is_clean() { shell::DONE } else { shell::FAILED })
}
