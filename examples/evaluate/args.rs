//! The flags. CI jobs rely on their names and meaning.

use std::path::PathBuf;

use clap::Parser;

use crate::features::Flags;
use crate::files::Files;
use crate::loading::Loading;

const EXAMPLES: &str = "\
Examples:
  evaluate
      the digits classifier that comes with the example
  evaluate model.onnx --data test.npz --eps 8/255 --limit 200
      noise, FGSM and PGD within 8/255 (linf) on the first 200 samples; test.npz holds `x` and `y`
  evaluate model.onnx --data test.npz --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
      data in [0, 1] for a model that expects normalised images; eps stays in the units of the data
  evaluate model.onnx --data test.npz --norm l2 --eps 0.25,0.5 --attack pgd:steps=100,restarts=5
      a curve over two budgets, with a stronger attack
  evaluate model.onnx --data test.npz --attack mi-fgsm --surrogate other.onnx
      what fools another model: does it fool this one?
  evaluate person.onnx --data people.npz --norm l1 --eps 3 --bounds none --integer 0 --increase 0 --one-hot 2-4
      only samples that could exist: feature 0 is an integer that can only rise, 2 to 4 are one of three
  evaluate imagenet.onnx --data val/ --resize 256 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --class-names classes.txt
      PNG and JPEG files in a folder for each class, scaled and cropped to the size that the model takes
  evaluate income.onnx --data adult.csv --label income --drop id --norm l2 --eps 0.5 --group sex
      a table: features keep within the smallest and largest value of their column; is one sex easier to attack?
  evaluate regression.onnx --data test.npz --eps 0.02 --objective moved:by=0.5
      no classifier: can the output be moved by 0.5? test.npz holds `x` alone
  evaluate --suite suite.toml
      several models and data sets under the same attacks, from one file
  evaluate model.onnx --data test.npz --eps 0.1 --fail-under 0.8 --json report.json --quiet
      a gate for CI: exit code 1 when fewer than 80 % of the samples stay right

Exit codes:
  0    done, and the gate passed
  1    a gate failed: --fail-under, --max-drop or --gate
  2    bad usage, bad data, or a missing file
  3    a model file that is there but cannot be parsed, typed or differentiated
  130  interrupted; the report so far is written and marked partial";

/// Measures how robust an ONNX classifier is: attacks every sample within a budget and verifies what was found.
///
/// Robust accuracy is the share of all samples that are classified correctly and that no attack broke. It is an upper bound:
/// a stronger attack may break more.
#[derive(Debug, Parser)]
#[command(name = "evaluate", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The model file; without it, a digits classifier that comes with the example
    #[arg(value_name = "MODEL.onnx", requires = "data")]
    pub(crate) model: Option<PathBuf>,
    /// The samples: npz (arrays `x`, samples first, and `y`, classes from 0), npy, IDX (MNIST), CIFAR (.bin) or CSV,
    /// or a folder of images, FOLDER/CLASS/IMAGE.png
    #[arg(long, value_name = "DATA", requires = "model")]
    pub(crate) data: Option<PathBuf>,
    /// How a perturbation is measured: linf, l2, l1 or l0 (changed features); several by commas [default: linf]
    #[arg(long, value_name = "NORM", value_delimiter = ',')]
    pub(crate) norm: Vec<String>,
    /// Budgets in the units of the data, such as 8/255,0.1 [default: linf 8/255, l2 0.5, l1 12]
    #[arg(long, value_name = "EPS", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) eps: Vec<String>,
    /// An attack with parameters, such as pgd:steps=40,restarts=2; repeat it for more [default: noise, fgsm, pgd]
    #[arg(long, value_name = "NAME[:K=V,...]")]
    pub(crate) attack: Vec<String>,
    /// Another model file, which is attacked in the place of the model, as an attacker would who has only that one; what is
    /// found is judged on the model. --input, --output and --constant are not for it, --straight-through is for it alone
    #[arg(long, value_name = "OTHER.onnx")]
    pub(crate) surrogate: Option<PathBuf>,
    /// The smallest and largest value of the data, data for those of each feature, or none [default: 0,1, of a table data]
    #[arg(long, value_name = "LO,HI|data|none", allow_hyphen_values = true)]
    pub(crate) bounds: Option<String>,
    /// Run this suite file instead, as the example `suite` does, which has flags for it
    #[arg(long, value_name = "SUITE.toml", exclusive = true)]
    pub(crate) suite: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) features: Flags,
    #[command(flatten)]
    pub(crate) loading: Loading,
    /// Look for this class instead of any wrong one: a number, random, least-likely, kth-likely:K (1 is the likeliest wrong
    /// class), or every-other (one wrong class after the other)
    #[arg(long, value_name = "GOAL")]
    pub(crate) targeted: Option<String>,
    /// For a model that is no classifier: what the attacker wants of its outputs. above:output=0,value=1.5 and
    /// below:output=0,value=1.5; moved:by=0.1 (output=K, way=up or down), away from the clean output; cosine:below=0.5, of the
    /// angle to the clean outputs. The data need no `y`
    #[arg(long, value_name = "NAME[:K=V,...]", conflicts_with = "targeted")]
    pub(crate) objective: Option<String>,
    /// The outputs or inner tensors that the objective counts through, one after the other [default: the first output]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', requires = "objective")]
    pub(crate) outputs: Vec<String>,
    /// Read the samples block by block, so that they may be larger than memory: a folder of images, or a file that is not
    /// compressed (npz, npy, IDX, CIFAR)
    #[arg(long, requires = "data", conflicts_with = "save_adversarial")]
    pub(crate) stream: bool,
    /// Take the samples in random order and stop once the 95 % interval of no worst case is wider than P: a share such as 0.1,
    /// or a percentage such as 10%
    #[arg(long, value_name = "P", conflicts_with_all = ["stop_at_gate", "shard"])]
    pub(crate) stop_width: Option<String>,
    /// Take the samples in random order and stop once it is known, with 95 %, on which side of --fail-under the worst cases lie
    #[arg(long, requires = "fail_under", conflicts_with = "shard")]
    pub(crate) stop_at_gate: bool,
    /// How many samples to evaluate [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// The first sample to evaluate
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) offset: usize,
    /// Keys every random draw: the same seed gives the same report
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads; the result does not depend on it [default: one per core]
    #[arg(long, value_name = "T")]
    pub(crate) threads: Option<usize>,
    /// Samples attacked together; the result does not depend on it
    #[arg(long, value_name = "B")]
    pub(crate) batch: Option<usize>,
    /// Keep what became of each sample in this file as soon as it is known: a run that was interrupted or killed goes on there
    /// when it is started again, and ends in the same report
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Evaluate only part I of N of the samples, counted from 1: run each with a checkpoint of its own, on as many machines as
    /// there are, and put them together with the example `merge`
    #[arg(long, value_name = "I/N", requires = "checkpoint")]
    pub(crate) shard: Option<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Write the adversarial points to this file (x, y, prediction, sample, row, eps, distance)
    #[arg(long, value_name = "FILE.npz")]
    pub(crate) save_adversarial: Option<PathBuf>,
    /// Exit with code 1 when the worst-case robust accuracy at the largest eps of any norm is below P: a share such as
    /// 0.8, or a percentage such as 80%
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub(crate) fail_under: Option<String>,
    /// Exit with code 1 when a gate does not hold, such as "`worst_case.linf@8/255 >= 0.40`"; repeat it for more. Others: `clean`,
    /// `worst_case`, `worst_case.l2`, `per_class.min`, `per_class.min.linf@8/255`, and `drop_from_baseline <= 0.02`
    #[arg(long, value_name = "GATE")]
    pub(crate) gate: Vec<String>,
    /// Refuse to run unless the SHA-256 of the model file is this
    #[arg(long, value_name = "HASH")]
    pub(crate) expect_sha256: Option<String>,
    /// Compare with the report of another run on the same samples, which `--json` wrote: McNemar's test, newly broken samples
    #[arg(long, value_name = "REPORT.json")]
    pub(crate) baseline: Option<PathBuf>,
    /// Exit with code 1 when an accuracy, clean or in the worst case under any threat of both, is below the baseline's by
    /// more than P: a share such as 0.02, or a percentage such as 2%
    #[arg(long, value_name = "P", requires = "baseline", allow_hyphen_values = true)]
    pub(crate) max_drop: Option<String>,
    /// Do not check the model and the data before the attacks
    #[arg(long)]
    pub(crate) no_preflight: bool,
    /// Print where the time went to standard error: seconds of all threads by stage, gradients per second
    #[arg(long, conflicts_with = "suite")]
    pub(crate) profile: bool,
    /// Print nothing but errors and a failed gate
    #[arg(long)]
    pub(crate) quiet: bool,
}
