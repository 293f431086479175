//! Whether data are what their domain says, but for rounding.

use std::borrow::Cow;

use super::dataset::Dataset;
use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::threat::Domain;

impl Dataset {
    /// The data as a domain that fits their features allows them: values that are off their levels for the way that they
    /// were computed only, such as `k * (1 / 255)` in place of `k / 255`, are moved onto them, which is
    /// [noted](Self::notes).
    ///
    /// # Errors
    /// [`Error::Data`] for the first sample that is no such data, with file, key, sample (its [id](Self::id)), feature, value
    /// and what to do; [`Error::Parameter`] when the domain does not fit the features.
    ///
    /// # Example
    /// ```
    /// use ironbound::{Dataset, Domain, Levels};
    ///
    /// # fn main() -> ironbound::Result<()> {
    /// let grid = Some(Levels::Uniform("1/255".parse()?));
    /// let domain = Domain { grid, ..Domain::ANY };
    /// let pixels = [[0.0, 3.0 * (1.0 / 255.0_f32)]];
    /// let data = Dataset::from_arrays(ndarray::arr2(&pixels).view(), &[1])?;
    /// let realisable = data.realisable(&domain)?;
    /// assert_eq!(realisable.sample(0), [0.0, 3.0 / 255.0]);
    /// assert_eq!(realisable.notes()[0].code, "data-snapped");
    /// # Ok(())
    /// # }
    /// ```
    pub fn realisable(&self, domain: &Domain) -> Result<Cow<'_, Self>> {
        let (mut data, snapped) = self.snapped(domain)?;
        if let Cow::Owned(data) = &mut data {
            data.notes.extend(snapped.note(self));
        }
        Ok(data)
    }

    /// The same, with what was moved in the place of a note.
    ///
    /// # Errors
    /// As [`realisable`](Self::realisable).
    #[expect(clippy::float_cmp, reason = "a level is one f32")]
    pub(crate) fn snapped(&self, domain: &Domain) -> Result<(Cow<'_, Self>, Snapped)> {
        let features = self.features();
        domain.validate(features)?;
        let (mut moved, mut most, mut x) = (0_usize, 0.0_f64, Cow::Borrowed(&self.x));
        for (index, &value) in self.x.iter().enumerate() {
            let Some(spacing) = domain.spacing_at(index % features) else { continue };
            let level = spacing.snapped(value).ok_or_else(|| {
                let problem = format!(
                    "{}, which is no level of {spacing} (the nearest is {}); round the data, or give the levels that \
                     they have",
                    self.place(index),
                    spacing.nearest(value)
                );
                self.x_source.refuse(problem)
            })?;
            if level != value {
                moved += 1;
                most = most.max((f64::from(level) - f64::from(value)).abs());
                x.to_mut()[index] = level;
            }
        }
        for (sample, values) in self.x.chunks_exact(features).enumerate() {
            if let Some(group) = domain.not_one_hot(values) {
                return Err(self.not_one_hot(sample, values, &domain.one_hot[group]));
            }
        }
        let data = match x {
            Cow::Owned(x) => Cow::Owned(Self { x, ..self.clone() }),
            Cow::Borrowed(_) => Cow::Borrowed(self),
        };
        Ok((data, Snapped { moved, most }))
    }

    fn place(&self, index: usize) -> String {
        let (sample, feature) = (index / self.features(), index % self.features());
        format!("sample {}, feature {feature} is {}", self.id(sample), self.x[index])
    }

    fn not_one_hot(&self, sample: usize, values: &[f32], group: &[usize]) -> Error {
        let found: Vec<f32> = group.iter().map(|&feature| values[feature]).collect();
        let problem = format!(
            "sample {}, features {group:?} are {found:?}; of a group, one must be 1 and the others 0",
            self.id(sample)
        );
        self.x_source.refuse(problem)
    }
}

/// Values that were moved onto their levels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Snapped {
    moved: usize,
    /// The furthest way.
    most: f64,
}

impl Snapped {
    /// Of two parts of a data set together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { moved: self.moved + other.moved, most: self.most.max(other.most) }
    }

    /// Says so, where any was.
    pub(crate) fn note(self, data: &Dataset) -> Option<Finding> {
        let (Self { moved, most }, key) = (self, &data.x_source.key);
        let message = format!(
            "{moved} values of `{key}` were off their levels by {most:.1e} at most, for the way that they were computed: they \
             were moved onto them"
        );
        (moved > 0).then(|| Finding::info("data-snapped", message))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;
    use crate::threat::{Levels, Spacing};

    fn data<const N: usize>(rows: &[[f32; N]]) -> Dataset {
        Dataset::from_arrays(arr2(rows).view(), &vec![0; rows.len()]).unwrap()
    }

    fn pixels() -> Domain {
        let grid = Some(Levels::Uniform("1/255".parse().unwrap()));
        Domain { grid, ..Domain::ANY }
    }

    #[test]
    fn either_way_to_scale_pixels_gives_the_same_levels() {
        let all = 0..=255_u8;
        let divided: Vec<[f32; 1]> = all.clone().map(|k| [f32::from(k) / 255.0]).collect();
        let scaled: Vec<[f32; 1]> = all.map(|k| [f32::from(k) * (1.0 / 255.0)]).collect();
        let (divided, scaled) = (data(&divided), data(&scaled));
        assert!(matches!(divided.realisable(&pixels()).unwrap(), Cow::Borrowed(_)));
        let snapped = scaled.realisable(&pixels()).unwrap();
        assert_ne!(scaled.values(), divided.values());
        assert_eq!(snapped.values(), divided.values());
        let bits = |data: &Dataset| data.values().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let (one, other) = (bits(&scaled), bits(&divided));
        let differ = one.iter().zip(&other).filter(|(one, other)| one != other).count();
        let note = snapped.notes().last().unwrap().message.clone();
        assert!(
            note.starts_with(&format!("{differ} values of `x` were off their levels by ")),
            "{note}"
        );
        assert!(matches!(snapped.realisable(&pixels()).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn what_is_no_such_data_is_named() {
        let message =
            |data: &Dataset, domain: &Domain| data.realisable(domain).unwrap_err().to_string();
        let off = data(&[[0.0, 1.0], [0.2, 0.3]]).subset(1, None).unwrap();
        assert_eq!(
            message(&off, &pixels()),
            "data: `x`: sample 1, feature 1 is 0.3, which is no level of 1/255 (the nearest is 0.3019608); round the data, \
             or give the levels that they have"
        );
        let groups = Domain { one_hot: vec![vec![0, 2]], ..Domain::ANY };
        let person = data(&[[1.0, 5.0, 0.0], [1.0, 5.0, 1.0]]);
        assert_eq!(
            message(&person, &groups),
            "data: `x`: sample 1, features [0, 2] are [1.0, 1.0]; of a group, one must be 1 and the others 0"
        );
        let grid = Some(Levels::PerFeature(vec![None, Some(Spacing::INTEGER), None]));
        person.realisable(&Domain { grid, ..Domain::ANY }).unwrap();
        let short = Domain { grid: Some(Levels::PerFeature(vec![None])), ..Domain::ANY };
        assert!(message(&person, &short).starts_with("`domain.grid` is 1 long"));
    }
}
