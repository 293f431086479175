//! The flags.

use std::path::PathBuf;

use clap::Parser;
use ironbound::Result;

use crate::loading::{Loading, fault};

const EXAMPLES: &str = "\
Examples:
  explain
      the digits classifier that comes with the example
  explain model.onnx --data test.npz --samples 0,5,7-9 --png maps
      why these samples get the class that they get; pictures of them and of the maps in the folder maps
  explain model.onnx --data test.npz --class label --score margin --method smoothgrad:draws=100 --npz maps.npz
      what speaks for the true class and against the strongest other, as arrays
  explain model.onnx --data test.npz --method occlusion:window=16,stride=8,fill=0.5
      without gradients: what the score loses where a grey square covers the image
  explain people.onnx --data people.npz --bounds none --attack pgd --norm l2 --eps 0.5 --limit 200
      which features the perturbations use that change the answer

Methods:
  gradient              the score's slope along each feature
  gradient-x-input      slope times value
  integrated-gradients  each feature's part of what the score changes from a baseline to the sample; the parts add up, but
                        for a gap that is told: steps=100, rule=midpoint or gauss-legendre, baseline=0
  occlusion             what the score loses where a window is covered: window=SIDE, stride, fill=0
  smoothgrad            the mean slope among noisy copies: draws=50, noise=0.15 of the sample's range

Exit codes:
  0    done
  2    bad usage, bad data, or a missing file
  3    a model file that is there but cannot be parsed, typed or differentiated
  130  interrupted";

/// Tells on which features of a sample an ONNX classifier's answer hangs, and which features attacks make use of.
///
/// A map has one number per feature: positive where the feature speaks for the class. Sketches in the terminal show tenths of
/// the largest number, channels added up.
#[derive(Debug, Parser)]
#[command(name = "explain", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The model file; without it, a digits classifier that comes with the example
    #[arg(value_name = "MODEL.onnx", requires = "data")]
    pub(crate) model: Option<PathBuf>,
    /// The samples: npz (arrays `x`, samples first, and `y`, classes from 0), npy, IDX (MNIST), CIFAR (.bin) or CSV,
    /// or a folder of images, FOLDER/CLASS/IMAGE.png
    #[arg(long, value_name = "DATA", requires = "model")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) loading: Loading,
    /// Which samples to explain, by their indices: numbers and ranges
    #[arg(long, value_name = "I,J-K", default_value = "0-2")]
    pub(crate) samples: String,
    /// How to explain, with parameters
    #[arg(long, value_name = "NAME[:K=V,...]", default_value = "integrated-gradients")]
    pub(crate) method: String,
    /// The class to explain: prediction, label, or a number
    #[arg(long, value_name = "CLASS", default_value = "prediction")]
    pub(crate) class: String,
    /// Which number of the class: its logit, or the margin, which is its logit less the largest other
    #[arg(long, value_name = "SCORE", default_value = "logit")]
    pub(crate) score: String,
    /// Keys every random draw: the same seed gives the same maps
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Write maps and samples to this file (map, x, sample, label, prediction, class, score)
    #[arg(long, value_name = "FILE.npz")]
    pub(crate) npz: Option<PathBuf>,
    /// Write pictures of samples and maps to this folder: red speaks for the class, blue against it
    #[arg(long, value_name = "FOLDER")]
    pub(crate) png: Option<PathBuf>,
    /// The smallest and largest value of the data, data for those of each feature, or none: black and white of pictures, and what
    /// attacks keep to [default: 0,1, of a table data]
    #[arg(long, value_name = "LO,HI|data|none", allow_hyphen_values = true)]
    pub(crate) bounds: Option<String>,
    /// Attack as well, and tell which features the perturbations use that succeed; repeat it for more attacks
    #[arg(long, value_name = "NAME[:K=V,...]")]
    pub(crate) attack: Vec<String>,
    /// How attacks measure a perturbation: linf, l2, l1 or l0
    #[arg(long, value_name = "NORM", default_value = "linf")]
    pub(crate) norm: String,
    /// The budget of attacks, in the units of the data
    #[arg(long, value_name = "EPS", default_value = "8/255", allow_hyphen_values = true)]
    pub(crate) eps: String,
    /// How many samples to attack, from the first [default: all]
    #[arg(long, value_name = "N", requires = "attack")]
    pub(crate) limit: Option<usize>,
    /// How many features to name per attack
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) features: usize,
    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Reads "0,5,7-9".
pub(crate) fn samples(text: &str) -> Result<Vec<usize>> {
    let part = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first = first.trim().parse().ok()?;
        let last = last.trim().parse().ok()?;
        (first <= last).then_some(first..=last)
    };
    let parts: Option<Vec<_>> = text.split(',').map(part).collect();
    let parts = parts
        .ok_or_else(|| fault("samples", text, "expected indices and ranges, such as 0,5,7-9"))?;
    Ok(parts.into_iter().flatten().collect())
}
