//! Lining up the data's axes with the model's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use super::npy::Shape;
use crate::error::{Error, Result};
use crate::finding::Finding;

/// Which axis of a sample counts the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Channels, height, width: "nchw".
    #[serde(rename = "nchw")]
    ChannelsFirst,
    /// Height, width, channels: "nhwc".
    #[serde(rename = "nhwc")]
    ChannelsLast,
}

impl Layout {
    const BOTH: [Self; 2] = [Self::ChannelsFirst, Self::ChannelsLast];

    /// "nchw" or "nhwc".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ChannelsFirst => "nchw",
            Self::ChannelsLast => "nhwc",
        }
    }

    /// The order in which to take the axes of a sample of this layout to get the other.
    fn to_other(self, rank: usize) -> Vec<usize> {
        let mut axes: Vec<usize> = (0..rank).collect();
        match self {
            Self::ChannelsFirst => axes.rotate_left(1),
            Self::ChannelsLast => axes.rotate_right(1),
        }
        axes
    }

    /// Whether images of this shape exist: fewer channels than pixels along any side.
    fn suits(self, shape: &[usize]) -> bool {
        let (channels, sides) = match (self, shape) {
            (Self::ChannelsFirst, [channels, sides @ ..])
            | (Self::ChannelsLast, [sides @ .., channels]) => (channels, sides),
            _ => return false,
        };
        sides.len() >= 2 && sides.iter().all(|side| channels < side)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::BOTH.into_iter().find(|layout| layout.name() == text);
        found.ok_or_else(|| Error::Unknown {
            what: "layout",
            name: text.into(),
            choices: Self::BOTH.iter().map(|layout| layout.name().into()).collect(),
        })
    }
}

/// How a sample becomes an input.
#[derive(Debug, PartialEq)]
enum Fit {
    /// The shapes are equal.
    Same,
    /// Only axes of extent 1 differ: (code, message).
    Units,
    /// One side is flat; the values keep their order.
    Flat,
    /// The sample has shape `from`, and its axes are taken in the order `axes`.
    Transpose { from: Vec<usize>, axes: Vec<usize> },
}

impl Dataset {
    /// States how the samples are laid out, for [`reshaped_for`](Self::reshaped_for) where shapes alone do not tell.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout: Some(layout), ..self }
    }

    /// Gives the samples the shape of the model's input (one sample, without the batch axis).
    ///
    /// Taken in this order, each but the first with a [note](Self::notes):
    ///   - the same shape: unchanged, whatever the layout;
    ///   - the same but for axes of extent 1, (28, 28) for (1, 28, 28) or (28, 28, 1): they are added or dropped;
    ///   - channels first for channels last or the reverse, (3, 32, 32) for (32, 32, 3): transposed, if the channels are
    ///     fewer than the pixels along any side or the data's layout was [stated](Self::with_layout);
    ///   - as many values, and the data or the model is flat, 3072 for (3, 32, 32): the values keep their order, unless
    ///     the data is flat, its layout was stated and the model's shape shows the other one: transposed.
    ///
    /// # Errors
    /// [`Error::Data`] otherwise: nothing is reinterpreted silently. (32, 3, 32) is no (3, 32, 32).
    pub fn reshaped_for(self, model_shape: &[usize]) -> Result<Self> {
        let fit = fit(&self.shape, model_shape, self.layout).map_err(|problem| {
            self.x_source.refuse(format!(
                "samples have shape {}, the model takes {}: {problem}",
                Shape(&self.shape),
                Shape(model_shape)
            ))
        })?;
        let (data, model) = (Shape(&self.shape).to_string(), Shape(model_shape));
        let note = match &fit {
            Fit::Same => return Ok(self),
            Fit::Units => {
                ("data-reshaped", format!("samples of shape {data} were taken as {model}"))
            }
            Fit::Flat => {
                let hint = "if they were flattened in another order, state the data's layout or reshape it";
                (
                    "data-flat",
                    format!("samples of shape {data} were taken as {model} in C order; {hint}"),
                )
            }
            Fit::Transpose { from, .. } => (
                "data-transposed",
                format!(
                    "samples of shape {data}, read as {}, were transposed to {model}",
                    Shape(from)
                ),
            ),
        };
        let mut notes = self.notes.clone();
        notes.push(Finding::info(note.0, note.1));
        let x = match fit {
            Fit::Transpose { from, axes } => transposed(&self.x, &from, &axes),
            _ => self.x,
        };
        Ok(Self { x, shape: model_shape.to_vec(), notes, ..self })
    }
}

fn fit(data: &[usize], model: &[usize], layout: Option<Layout>) -> Result<Fit, String> {
    if data == model {
        return Ok(Fit::Same);
    }
    let (squeezed, wanted) = (without_units(data), without_units(model));
    if squeezed == wanted {
        return Ok(Fit::Units);
    }
    let count =
        |shape: &[usize]| shape.iter().fold(1, |count: usize, axis| count.saturating_mul(*axis));
    let (have, need) = (count(data), count(model));
    if have != need {
        return Err(format!(
            "{have} values cannot fill {need}; resize, crop or pad the data first"
        ));
    }
    if squeezed.len() == 1 {
        return flat(&wanted, layout);
    }
    if wanted.len() == 1 {
        return Ok(Fit::Flat);
    }
    transposition(data, model, layout)
        .or_else(|| transposition(&squeezed, &wanted, layout))
        .ok_or_else(|| {
            "the axes do not line up; transpose the data, or state its layout (nchw or nhwc) if that is all that differs"
                .into()
        })
}

/// Flat data for a model with axes.
fn flat(wanted: &[usize], layout: Option<Layout>) -> Result<Fit, String> {
    let Some(layout) = layout.filter(|_| wanted.len() >= 3) else { return Ok(Fit::Flat) };
    let Some(of_model) = Layout::BOTH.into_iter().find(|layout| layout.suits(wanted)) else {
        return Err(format!(
            "flat data in {layout} order cannot be placed, since the model's shape does not show which axis counts \
             the channels; give the data the model's shape"
        ));
    };
    if of_model == layout {
        return Ok(Fit::Flat);
    }
    let from: Vec<usize> =
        of_model.to_other(wanted.len()).iter().map(|axis| wanted[*axis]).collect();
    let axes = layout.to_other(from.len());
    Ok(Fit::Transpose { from, axes })
}

/// The one layout change that turns `data` into `model`.
fn transposition(data: &[usize], model: &[usize], layout: Option<Layout>) -> Option<Fit> {
    if data.len() < 3 || data.len() != model.len() {
        return None;
    }
    let mut fits = Layout::BOTH.into_iter().filter_map(|from| {
        let axes = from.to_other(data.len());
        let lines_up = axes.iter().map(|axis| data[*axis]).eq(model.iter().copied());
        let plausible = layout.map_or_else(|| from.suits(data), |stated| stated == from);
        (lines_up && plausible).then(|| Fit::Transpose { from: data.to_vec(), axes })
    });
    fits.next().filter(|_| fits.next().is_none())
}

fn without_units(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|axis| *axis != 1).collect()
}

/// Every sample with its axes taken in another order.
fn transposed(x: &[f32], from: &[usize], axes: &[usize]) -> Vec<f32> {
    let stride = |axis: usize| from[axis + 1..].iter().product::<usize>();
    let places = axes.iter().fold(vec![0], |places, axis| {
        let along = |place| (0..from[*axis]).map(move |index| place + index * stride(*axis));
        places.into_iter().flat_map(along).collect()
    });
    x.chunks_exact(places.len())
        .flat_map(|sample| places.iter().map(|place| sample[*place]))
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, ArrayD, Axis};

    use super::*;

    fn data(shape: &[usize]) -> Dataset {
        let mut axes = vec![2];
        axes.extend(shape);
        let count = axes.iter().product::<usize>();
        let x = Array::from_iter((0..count).map(|i| i as f32)).into_shape_with_order(axes).unwrap();
        Dataset::from_arrays(x.view(), &[0, 1]).unwrap()
    }

    fn codes(data: &Dataset) -> Vec<&str> {
        data.notes().iter().map(|note| note.code.as_str()).collect()
    }

    #[test]
    fn unit_axes_come_and_go_without_moving_values() {
        for (have, want) in [
            (&[28, 28][..], &[1, 28, 28][..]),
            (&[28, 28], &[28, 28, 1]),
            (&[1, 28, 28], &[28, 28, 1]),
            (&[1, 1, 28, 28], &[1, 28, 28]),
            (&[1, 3, 8, 8], &[3, 8, 8]),
            (&[5], &[1, 1, 5]),
            (&[1], &[1, 1]),
        ] {
            let fitted = data(have).reshaped_for(want).unwrap();
            assert_eq!((fitted.shape(), codes(&fitted)), (want, vec!["data-reshaped"]));
            assert_eq!(fitted.values(), data(have).values());
        }
    }

    #[test]
    fn equal_shapes_change_nothing_whatever_the_layout() {
        for layout in Layout::BOTH {
            let same = data(&[3, 8, 8]).with_layout(layout);
            assert_eq!(same.clone().reshaped_for(&[3, 8, 8]).unwrap(), same);
        }
    }

    #[test]
    fn layouts_are_transposed_when_the_shapes_say_so() {
        let roll = |shape: &[usize], from: usize, to: usize| -> Vec<f32> {
            let flat = data(shape);
            let mut axes = vec![2];
            axes.extend(shape);
            let mut x = ArrayD::from_shape_vec(axes, flat.values().to_vec()).unwrap();
            // Axis by axis, as numpy.moveaxis would.
            let steps: Vec<usize> =
                if from < to { (from..to).collect() } else { (to..from).rev().collect() };
            for step in steps {
                x.swap_axes(step, step + 1);
            }
            assert_eq!(x.len_of(Axis(0)), 2);
            x.iter().copied().collect()
        };
        for (have, want, from, to) in [
            (&[3, 8, 9][..], &[8, 9, 3][..], 1, 3),
            (&[8, 9, 3], &[3, 8, 9], 3, 1),
            (&[2, 4, 5, 6], &[4, 5, 6, 2], 1, 4),
            (&[4, 5, 6, 2], &[2, 4, 5, 6], 4, 1),
        ] {
            let fitted = data(have).reshaped_for(want).unwrap();
            assert_eq!((fitted.shape(), codes(&fitted)), (want, vec!["data-transposed"]));
            assert_eq!(fitted.values(), roll(have, from, to));
            let there_and_back = fitted.reshaped_for(have).unwrap();
            assert_eq!(there_and_back.values(), data(have).values());
        }
        let fitted = data(&[1, 8, 9, 3]).reshaped_for(&[3, 8, 9]).unwrap();
        assert_eq!(fitted.values(), roll(&[8, 9, 3], 3, 1));
    }

    #[test]
    fn flat_data_keeps_its_order_unless_its_layout_is_stated() {
        for want in [&[3, 4, 4][..], &[4, 4, 3], &[6, 8]] {
            let fitted = data(&[48]).reshaped_for(want).unwrap();
            assert_eq!((fitted.shape(), codes(&fitted)), (want, vec!["data-flat"]));
            assert_eq!(fitted.values(), data(&[48]).values());
        }
        let fitted = data(&[3, 4, 4]).reshaped_for(&[48]).unwrap();
        assert_eq!(fitted.values(), data(&[48]).values());

        let stated =
            data(&[48]).with_layout(Layout::ChannelsLast).reshaped_for(&[3, 4, 4]).unwrap();
        let wanted = data(&[4, 4, 3]).reshaped_for(&[3, 4, 4]).unwrap();
        assert_eq!((stated.values(), codes(&stated)), (wanted.values(), vec!["data-transposed"]));
        let stated =
            data(&[48]).with_layout(Layout::ChannelsFirst).reshaped_for(&[4, 4, 3]).unwrap();
        let wanted = data(&[3, 4, 4]).reshaped_for(&[4, 4, 3]).unwrap();
        assert_eq!(stated.values(), wanted.values());
        let stated =
            data(&[48]).with_layout(Layout::ChannelsFirst).reshaped_for(&[3, 4, 4]).unwrap();
        assert_eq!(stated.values(), data(&[48]).values());
        let grey = data(&[16]).with_layout(Layout::ChannelsLast).reshaped_for(&[1, 4, 4]).unwrap();
        assert_eq!(grey.values(), data(&[16]).values());
    }

    #[test]
    fn what_does_not_line_up_is_refused() {
        let refuse = |data: Dataset, want: &[usize], words: &str| {
            let message = data.reshaped_for(want).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        };
        refuse(data(&[32, 3, 32]), &[3, 32, 32], "the axes do not line up");
        refuse(data(&[3, 32, 16]), &[16, 32, 3], "the axes do not line up");
        refuse(data(&[4, 6]), &[6, 4], "nchw or nhwc");
        refuse(data(&[2, 6]), &[3, 4], "do not line up");
        refuse(data(&[3, 32, 32]), &[1, 28, 28], "3072 values cannot fill 784");
        refuse(data(&[4]), &[usize::MAX, usize::MAX], "cannot fill");
        refuse(data(&[64]).with_layout(Layout::ChannelsLast), &[4, 4, 4], "which axis counts");
        assert_eq!(
            data(&[3, 8]).reshaped_for(&[5]).unwrap_err().to_string(),
            "data: `x`: samples have shape (3, 8), the model takes (5,): 24 values cannot fill 5; \
             resize, crop or pad the data first"
        );
    }

    #[test]
    fn a_stated_layout_settles_unusual_shapes() {
        let odd = data(&[16, 3, 8]);
        assert!(odd.clone().reshaped_for(&[3, 8, 16]).is_err());
        let fitted =
            odd.clone().with_layout(Layout::ChannelsFirst).reshaped_for(&[3, 8, 16]).unwrap();
        assert_eq!(fitted.sample(0)[..2], [0.0, 24.0]);
        assert!(odd.with_layout(Layout::ChannelsLast).reshaped_for(&[3, 8, 16]).is_err());
    }

    #[test]
    fn layouts_have_names() {
        for layout in Layout::BOTH {
            assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
        }
        let message = "hwc".parse::<Layout>().unwrap_err().to_string();
        assert_eq!(message, "unknown layout `hwc`, expected one of `nchw`, `nhwc`");
    }
}
