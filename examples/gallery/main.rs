//! Pictures of what broke a model, from the files of a run. See `--help`.

#[path = "../common/reading.rs"]
mod reading;
#[path = "../common/reports.rs"]
mod reports;
#[path = "../common/shell.rs"]
mod shell;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ironbound::report::{Gallery, Series, save_text};
use ironbound::{AdversarialPoints, DataOptions, Dataset, Error, Result};

use reading::Reading;

const EXAMPLES: &str = "\
Examples:
  evaluate model.onnx --data test.npz --json report.json --save-adversarial points.npz
  gallery report.json --adversarial points.npz --data test.npz --html gallery.html
      one page with the samples that the first command broke: as they were, what was added, what came of it
  gallery report.json --adversarial points.npz --data test.npz --folder pictures --most 50
      the same as PNG files: pictures/linf-12-clean.png, pictures/linf-12-change.png, pictures/linf-12-perturbed.png

What was added is blue where it lowers a value and red where it raises one, in full colours at the largest change of the
sample; channels are averaged. `evaluate --html` shows the gallery as a part of its report.

Exit codes:
  0    done
  2    bad usage, or other data than those of the report";

/// Small pictures are enlarged to about so many pixels along a side.
const SIDE: u32 = 128;

/// Shows samples that an evaluation broke, each by the smallest perturbation found: images as pictures, other data as the
/// features that changed most.
#[derive(Debug, Parser)]
#[command(name = "gallery", version, after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("to").required(true).multiple(true).args(["html", "folder"]))]
struct Args {
    /// The report, from `evaluate --json`
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// The points, from `evaluate --save-adversarial`
    #[arg(long, value_name = "POINTS.npz")]
    adversarial: PathBuf,
    /// The data, with the flags of the first run
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Write one HTML page to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write PNG files to this folder, which is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Samples per kind of threat, evenly spaced; fewer where samples are large
    #[arg(long, value_name = "N", default_value_t = 12)]
    most: usize,
}

fn main() -> ExitCode {
    ExitCode::from(run(&Args::parse()).unwrap_or_else(|error| shell::report(&error)))
}

fn run(args: &Args) -> Result<u8> {
    if let Some(path) = &args.html {
        shell::expect_folder(path)?;
    }
    let report = reports::read(&args.report)?;
    let points = AdversarialPoints::load(&args.adversarial)?;
    let unlabelled = report.model.loading()?.1.is_some();
    let sample_shape = Some(points.shape.clone());
    let options = DataOptions { unlabelled, sample_shape, ..args.reading.options()? };
    let data = Dataset::open(&args.data, &options)?;
    let gallery = Gallery::stored(&report, &points, &data, args.most)?;
    args.html.as_ref().map_or(Ok(()), |path| save_text(path, &gallery.to_html(&report)))?;
    if let Some(folder) = &args.folder {
        for series in &gallery.series {
            save_pictures(series, &gallery.shape, folder)?;
        }
    }
    Ok(shell::DONE)
}

fn save_pictures(series: &Series, shape: &[usize], folder: &Path) -> Result<()> {
    let fault = |source| Error::Io { path: folder.into(), source };
    std::fs::create_dir_all(folder).map_err(fault)?;
    // Of names such as "rotation 30 and shift 0.1" what every file system takes.
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let name: String = series.name.chars().map(plain).collect();
    for example in &series.examples {
        let Some(pictures) = example.pictures(shape, series.range) else {
            return Err(Error::Parameter {
                field: "folder".into(),
                value: format!("samples of shape {shape:?}"),
                expected: "expected images of one or three channels; --html shows other data too"
                    .into(),
            });
        };
        let times = SIDE / pictures.clean.width().max(pictures.clean.height());
        let three = [pictures.clean, pictures.change, pictures.perturbed];
        for (picture, part) in three.iter().zip(["clean", "change", "perturbed"]) {
            let path = folder.join(format!("{name}-{}-{part}.png", example.sample));
            std::fs::write(&path, picture.enlarged(times).to_png())
                .map_err(|source| Error::Io { path: path.clone(), source })?;
        }
    }
    Ok(())
}
