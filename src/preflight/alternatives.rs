//! Other ways to prepare the data, and whether one of them fits the model better.

use super::subject::{Subject, span};
use crate::binomial::tail;
use crate::error::Result;

/// How sure a difference must be.
const SIGNIFICANCE: f64 = 0.05;
/// Below so many samples nothing is said of an accuracy.
const ENOUGH: usize = 16;

/// A change to a sample's values.
type Change = Box<dyn Fn(&[f32]) -> Vec<f32> + Send + Sync>;

/// Another way to prepare the data.
pub(super) struct Alternative {
    /// What is done, as the subject of a sentence.
    what: String,
    remedy: String,
    change: Change,
}

/// The way that fits best.
#[derive(Debug)]
pub(super) struct Better {
    pub what: String,
    pub remedy: String,
    /// The accuracy with it.
    pub accuracy: f64,
}

/// (name, mean, standard deviation), of images in [0, 1].
type Normalisation = (&'static str, &'static [f32], &'static [f32]);

const COLOUR: [Normalisation; 4] = [
    ("ImageNet", &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
    ("CIFAR-10", &[0.4914, 0.4822, 0.4465], &[0.247, 0.2435, 0.2616]),
    ("CIFAR-10 (narrow)", &[0.4914, 0.4822, 0.4465], &[0.2023, 0.1994, 0.201]),
    ("symmetric", &[0.5], &[0.5]),
];
const GREY: [Normalisation; 2] = [("MNIST", &[0.1307], &[0.3081]), ("symmetric", &[0.5], &[0.5])];

/// Whether the accuracy is one that guessing would reach: P(as many hits or more by chance) > 5 %, one-sided, over
/// enough samples to tell.
pub(super) fn is_chance(subject: &Subject<'_>) -> bool {
    let hits = subject.hits(&subject.logits).into_iter().filter(|hit| *hit).count();
    let share = 1.0 / subject.model.classes() as f64;
    subject.len() >= ENOUGH && tail(hits, subject.len(), share) > SIGNIFICANCE
}

/// Every alternative for these samples.
pub(super) fn all(subject: &Subject<'_>) -> Vec<Alternative> {
    let shape = &subject.model.info().shape;
    let (_, high) = span(&subject.inputs);
    let mut all = scales();
    all.extend(normalisations(shape, false));
    if high > 1.0 {
        all.extend(normalisations(shape, true));
    }
    all.extend(orders(shape));
    all
}

/// 1/255 and 255.
pub(super) fn scales() -> Vec<Alternative> {
    let by = |what: &str, scale: f32, text: &str| Alternative {
        what: what.into(),
        remedy: format!("load the model with scale {text}"),
        change: Box::new(move |x| x.iter().map(|x| x * scale).collect()),
    };
    vec![
        by("dividing the data by 255", 1.0 / 255.0, "0.003921569"),
        by("multiplying the data by 255", 255.0, "255"),
    ]
}

/// The usual means and standard deviations, of `pixels` in 0 to 255 after dividing them by that.
pub(super) fn normalisations(shape: &[usize], pixels: bool) -> Vec<Alternative> {
    let axis = channel_axis(shape);
    let usual = if axis.is_some() { &COLOUR[..] } else { &GREY[..] };
    let list =
        |values: &[f32]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let one = |(name, mean, std): &Normalisation| {
        let (mean, std, scale) = (*mean, *std, if pixels { 255.0 } else { 1.0 });
        let what = format!("the {name} normalisation");
        let values = format!("mean {}, std {}", list(mean), list(std));
        let channel = channels(shape, axis);
        let change = move |x: &[f32]| {
            let one = |(at, x): (usize, &f32)| {
                let channel = channel(at);
                (x / scale - mean[channel % mean.len()]) / std[channel % std.len()]
            };
            x.iter().enumerate().map(one).collect()
        };
        Alternative {
            what: if pixels { format!("{what} after dividing by 255") } else { what },
            remedy: if pixels {
                format!("load the model with scale 0.003921569, {values}")
            } else {
                format!("load the model with {values}")
            },
            change: Box::new(change),
        }
    };
    usual.iter().map(one).collect()
}

/// Reversed channels, and values that lie in the other order of axes.
fn orders(shape: &[usize]) -> Vec<Alternative> {
    let [a, b, c] = *shape else { return vec![] };
    let Some(axis) = channel_axis(shape) else { return vec![] };
    let permuted = |what: &str, remedy: &str, from: Vec<usize>| Alternative {
        what: what.into(),
        remedy: remedy.into(),
        change: Box::new(move |x| from.iter().map(|at| x[*at]).collect()),
    };
    let channel = channels(shape, Some(axis));
    let stride = if axis == 0 { b * c } else { 1 };
    let reversed = (0..a * b * c).map(|at| at + 2 * stride - 2 * channel(at) * stride).collect();
    // The value of channel k, row i, column j, where it stands in the other layout.
    let (channels, height, width) = if axis == 0 { (a, b, c) } else { (c, a, b) };
    let mut other = vec![];
    for at in 0..a * b * c {
        other.push(if axis == 0 {
            let (k, i, j) = (at / (height * width), at / width % height, at % width);
            (i * width + j) * channels + k
        } else {
            let (i, j, k) = (at / (width * channels), at / channels % width, at % channels);
            (k * height + i) * width + j
        });
    }
    let (have, want) = if axis == 0 { ("NHWC", "NCHW") } else { ("NCHW", "NHWC") };
    vec![
        permuted(
            "reversing the channels",
            "load the model with its channels reversed: RGB data for a BGR model, or the other way round",
            reversed,
        ),
        permuted(
            &format!("reading the values in {have} order"),
            &format!(
                "the values lie in {have} order: give the data its true shape, and it is brought to {want}"
            ),
            other,
        ),
    ]
}

/// The axis of three channels, if the sample is a colour image.
fn channel_axis(shape: &[usize]) -> Option<usize> {
    match *shape {
        [3, _, _] => Some(0),
        [_, _, 3] => Some(2),
        _ => None,
    }
}

/// From a value's place to its channel.
fn channels(
    shape: &[usize],
    axis: Option<usize>,
) -> impl Fn(usize) -> usize + Send + Sync + 'static {
    let stride = axis.map_or(usize::MAX, |axis| shape[axis + 1..].iter().product());
    let count = axis.map_or(1, |axis| shape[axis]);
    move |at| at / stride % count
}

/// The alternative with the most hits, if it beats `hits` significantly, and chance as well.
///
/// An exact one-sided sign test over the samples that the two ways disagree on, at 5 % over the number of alternatives;
/// the first of equals.
///
/// # Errors
/// When the model cannot be run, or the run was cancelled.
pub(super) fn best(
    subject: &Subject<'_>,
    hits: &[bool],
    alternatives: Vec<Alternative>,
) -> Result<Option<Better>> {
    if subject.len() < ENOUGH || subject.unsteady.is_some() {
        return Ok(None);
    }
    let level = SIGNIFICANCE / alternatives.len().max(1) as f64;
    let share = 1.0 / subject.model.classes() as f64;
    let mut best: Option<(usize, Alternative)> = None;
    for alternative in alternatives {
        let inputs: Vec<f32> =
            (0..subject.len()).flat_map(|at| (alternative.change)(subject.input(at))).collect();
        let with = subject.hits(&subject.run(&inputs)?);
        let right = with.iter().filter(|hit| **hit).count();
        let gained = with.iter().zip(hits).filter(|(with, without)| **with && !**without).count();
        let lost = with.iter().zip(hits).filter(|(with, without)| !**with && **without).count();
        let significant =
            tail(gained, gained + lost, 0.5) < level && tail(right, subject.len(), share) < level;
        if significant && best.as_ref().is_none_or(|(most, _)| right > *most) {
            best = Some((right, alternative));
        }
    }
    let preprocessed = subject.model.info().options["preprocessing"]
        .as_object()
        .is_some_and(|options| options["scale"] != 1.0 || options["mean"] != serde_json::json!([]));
    Ok(best.map(|(right, alternative)| Better {
        what: alternative.what,
        remedy: alternative.remedy
            + if preprocessed { ", on top of its present preprocessing" } else { "" },
        accuracy: right as f64 / subject.len() as f64,
    }))
}
