//! A batch of samples with room for its results.

use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::given::SampleArray;
use super::plan::Kind;
use super::source::Source;
use crate::goal::Aim;
use crate::loss::Loss;

/// Rows to run, and where their results go.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub rows: usize,
    /// `rows x features`.
    pub inputs: &'a [f32],
    /// What else the model takes of each row's sample.
    pub others: Others<'a>,
    /// `rows x classes`.
    pub logits: &'a mut [f32],
    /// The backward pass, if it is wanted.
    pub backward: Option<Backward<'a>>,
}

/// What a model takes of a data set besides the attacked input.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others<'a> {
    /// One per input, in the graph's order; none where the model takes the attacked input alone.
    pub arrays: &'a [&'a SampleArray],
    /// One per row: the index in the data set of its sample.
    pub samples: &'a [usize],
}

impl<'a> Others<'a> {
    fn split(self, rows: usize) -> (Self, Self) {
        let (samples, rest) = self.samples.split_at_checked(rows).unwrap_or_default();
        (Self { samples, ..self }, Self { samples: rest, ..self })
    }

    /// The value of the graph's `index`-th further input, for all rows together.
    pub(super) fn tensor(&self, index: usize, source: &Source, rows: usize) -> TractResult<Tensor> {
        let array = self.arrays.get(index).with_context(|| {
            format!(
                "its input `{}` has no value: bind the model to a data set that has an array of this name, or give it \
                 a constant",
                source.name
            )
        })?;
        let mut values = Vec::with_capacity(rows * source.width());
        for &sample in self.samples {
            let entry = array.get(sample);
            values.extend_from_slice(entry.with_context(|| {
                format!("the array `{}` has no entry for sample {sample}", source.name)
            })?);
        }
        source.tensor(rows, &values)
    }
}

/// What a backward pass takes and gives.
#[derive(Debug)]
pub(super) struct Backward<'a> {
    pub loss: &'a Arc<dyn Loss>,
    /// One per row.
    pub aims: &'a [Aim],
    /// One per row.
    pub losses: &'a mut [f32],
    /// `rows x features`.
    pub gradient: &'a mut [f32],
}

impl<'a> Job<'a> {
    pub(super) fn kind(&self) -> Kind {
        if self.backward.is_some() { Kind::Gradient } else { Kind::Forward }
    }

    /// Cuts the job into pieces of `size` rows, the last one possibly shorter.
    pub(super) fn pieces(self, size: usize) -> Vec<Self> {
        let mut pieces = vec![];
        let mut rest = self;
        while rest.rows > size {
            let (piece, tail) = rest.split(size);
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        pieces
    }

    fn split(self, rows: usize) -> (Self, Self) {
        let features = self.inputs.len() / self.rows;
        let classes = self.logits.len() / self.rows;
        let (inputs, rest_inputs) = self.inputs.split_at(rows * features);
        let (others, rest_others) = self.others.split(rows);
        let (logits, rest_logits) = self.logits.split_at_mut(rows * classes);
        let (backward, rest_backward) =
            self.backward.map(|backward| backward.split(rows, features)).unzip();
        let rest = self.rows - rows;
        (
            Self { rows, inputs, others, logits, backward },
            Self {
                rows: rest,
                inputs: rest_inputs,
                others: rest_others,
                logits: rest_logits,
                backward: rest_backward,
            },
        )
    }
}

impl Backward<'_> {
    fn split(self, rows: usize, features: usize) -> (Self, Self) {
        let (aims, rest_aims) = self.aims.split_at(rows);
        let (losses, rest_losses) = self.losses.split_at_mut(rows);
        let (gradient, rest_gradient) = self.gradient.split_at_mut(rows * features);
        let loss = self.loss;
        (
            Self { loss, aims, losses, gradient },
            Self { loss, aims: rest_aims, losses: rest_losses, gradient: rest_gradient },
        )
    }
}

/// An owned batch.
#[derive(Clone, Debug)]
pub(super) struct Rows<'a> {
    rows: usize,
    inputs: Vec<f32>,
    arrays: &'a [&'a SampleArray],
    samples: Vec<usize>,
    logits: Vec<f32>,
    loss: Option<Arc<dyn Loss>>,
    aims: Vec<Aim>,
    losses: Vec<f32>,
    gradient: Vec<f32>,
}

impl<'a> Rows<'a> {
    /// `rows` rows that repeat those of `job`, each value changed by `change(value, row, feature)`.
    pub(super) fn cycle(
        job: &Job<'a>,
        rows: usize,
        change: impl Fn(f32, usize, usize) -> f32,
    ) -> Self {
        let features = job.inputs.len() / job.rows;
        let classes = job.logits.len() / job.rows;
        let mut inputs = Vec::with_capacity(rows * features);
        for (row, values) in job.inputs.chunks_exact(features).cycle().take(rows).enumerate() {
            let changed = values.iter().enumerate().map(|(at, value)| change(*value, row, at));
            inputs.extend(changed);
        }
        let backward = job.backward.as_ref();
        let aims = backward.map_or(&[][..], |backward| backward.aims);
        let samples = job.others.samples.iter().copied().cycle().take(rows);
        let wanted = if backward.is_some() { rows } else { 0 };
        Self {
            rows,
            inputs,
            arrays: job.others.arrays,
            samples: if job.others.samples.is_empty() { vec![] } else { samples.collect() },
            logits: vec![0.0; rows * classes],
            loss: backward.map(|backward| Arc::clone(backward.loss)),
            aims: aims.iter().copied().cycle().take(wanted).collect(),
            losses: vec![0.0; wanted],
            gradient: vec![0.0; wanted * features],
        }
    }

    pub(super) fn job(&mut self) -> Job<'_> {
        let backward = self.loss.as_ref().map(|loss| Backward {
            loss,
            aims: &self.aims,
            losses: &mut self.losses,
            gradient: &mut self.gradient,
        });
        let others = Others { arrays: self.arrays, samples: &self.samples };
        Job { rows: self.rows, inputs: &self.inputs, others, logits: &mut self.logits, backward }
    }

    /// Copies the results of the first rows into a job's slices.
    pub(super) fn write_to(&self, job: Job<'_>) {
        job.logits.copy_from_slice(&self.logits[..job.logits.len()]);
        if let Some(backward) = job.backward {
            backward.losses.copy_from_slice(&self.losses[..backward.losses.len()]);
            backward.gradient.copy_from_slice(&self.gradient[..backward.gradient.len()]);
        }
    }

    pub(super) fn logits_of(&self, row: usize) -> &[f32] {
        let classes = self.logits.len() / self.rows;
        &self.logits[row * classes..][..classes]
    }

    /// The first row whose logits differ from the other batch's by more than `tolerance` of its largest.
    pub(super) fn first_row_unlike(&self, other: &Self, tolerance: f32) -> Option<usize> {
        (0..self.rows).find(|&row| {
            let (ours, theirs) = (self.logits_of(row), other.logits_of(row));
            let largest = theirs.iter().fold(f32::MIN_POSITIVE, |largest, z| largest.max(z.abs()));
            let close = |(a, b): (&f32, &f32)| {
                a.is_finite() == b.is_finite()
                    && (!a.is_finite() || (a - b).abs() <= tolerance * largest)
            };
            !ours.iter().zip(theirs).all(close)
        })
    }

    /// The same samples, each one place earlier, the first one last.
    pub(super) fn rotated(&self) -> Self {
        let mut rotated = self.clone();
        rotated.inputs.rotate_left(self.inputs.len() / self.rows);
        if !rotated.samples.is_empty() {
            rotated.samples.rotate_left(1);
        }
        if !rotated.aims.is_empty() {
            rotated.aims.rotate_left(1);
        }
        rotated
    }

    /// Whether the results are, bit for bit, those of `other` rotated by some rows.
    pub(super) fn has_bits_of(&self, other: &Self, rotated: usize) -> bool {
        let same = |ours: &[f32], theirs: &[f32]| {
            let shift = rotated * theirs.len() / other.rows;
            let theirs = theirs[shift..].iter().chain(&theirs[..shift]);
            ours.iter().zip(theirs).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        same(&self.logits, &other.logits)
            && same(&self.losses, &other.losses)
            && same(&self.gradient, &other.gradient)
    }
}
