//! Explanations for the terminal.

use std::fmt::{self, Write};

use super::sketch::write_sketch;
use super::{Explanation, Explanations};
use crate::text::{short, written};

/// How many features to name.
const NAMED: usize = 6;

impl Explanations {
    /// The explanations as text: per sample the score, whether the map adds up, the largest features, and of images a sketch of
    /// the map. It ends in a newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        let (model, data) = (&self.model, &self.data);
        writeln!(text, "model   {} (sha256 {})", model.path, short(&model.sha256))?;
        writeln!(text, "data    {} (sha256 {})", data.path, short(&data.sha256))?;
        writeln!(text, "method  {}", self.method)?;
        for one in &self.explanations {
            let Explanation { sample, label, prediction, class, score, .. } = one;
            writeln!(
                text,
                "\nsample {sample}: class {label}, taken for {prediction}; the {} of {class} is {score:.4}",
                self.score
            )?;
            if let Some(parts) = &one.completeness {
                writeln!(
                    text,
                    "  parts add up to {:.4}, and the score rises by {:.4} from the baseline: a gap of {:.4}",
                    parts.sum,
                    parts.change,
                    parts.gap().abs()
                )?;
            }
            let values: Vec<f64> = one.map.iter().copied().collect();
            let mut order: Vec<usize> = (0..values.len()).filter(|&i| values[i] != 0.0).collect();
            order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
            let named = order.iter().take(NAMED).map(|&feature| {
                format!("{} {:+.4}", place_in(one.map.shape(), feature), values[feature])
            });
            writeln!(text, "  largest: {}", named.collect::<Vec<_>>().join(", "))?;
            write_sketch(text, &one.map)?;
        }
        Ok(())
    }
}

/// A feature's number, and its place where a sample has several axes: "35 [0, 4, 3]".
pub(super) fn place_in(shape: &[usize], feature: usize) -> String {
    if shape.iter().filter(|axis| **axis > 1).count() < 2 {
        return feature.to_string();
    }
    let mut rest = feature;
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|axis| {
            let index = rest % axis;
            rest /= axis;
            index
        })
        .collect();
    place.reverse();
    format!("{feature} {place:?}")
}
