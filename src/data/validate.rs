//! What data must satisfy before it is attacked.

use super::dataset::Dataset;
use crate::error::{Error, Result};
use crate::threat::Bounds;

impl Dataset {
    /// Checks that every value is finite and within `bounds`, and every label one of `classes` classes.
    ///
    /// # Errors
    /// [`Error::Data`] for the first value or label at fault, with file, key, sample (its [id](Self::id)), feature, value
    /// and what to do; [`Error::Parameter`] when the bounds are not as many as the features.
    pub fn validate(&self, bounds: &Bounds, classes: usize) -> Result<()> {
        let features = self.features();
        if let Bounds::PerFeature(pairs) = bounds
            && pairs.len() != features
        {
            let value = format!("{} pairs", pairs.len());
            return Err(Error::parameter(
                "bounds",
                value,
                format!("one per feature is {features}"),
            ));
        }
        for (sample, values) in self.x.chunks_exact(features).enumerate() {
            for (feature, value) in values.iter().enumerate() {
                let (lower, upper) = bounds.at(feature);
                if !(value.is_finite() && (lower..=upper).contains(value)) {
                    return Err(self.bad_value(sample, feature, *value, (lower, upper)));
                }
            }
        }
        match self.y.iter().position(|label| *label >= classes) {
            Some(sample) => Err(self.bad_label(sample, classes)),
            None => Ok(()),
        }
    }

    /// The smallest and the largest value of each feature, as bounds: those of all samples here. A feature that has one
    /// value only cannot change within them.
    #[must_use]
    pub fn feature_bounds(&self) -> Bounds {
        let none = (f32::INFINITY, f32::NEG_INFINITY);
        let mut pairs = vec![none; self.features()];
        for values in self.x.chunks_exact(self.features()) {
            for ((lower, upper), value) in pairs.iter_mut().zip(values) {
                (*lower, *upper) = (lower.min(*value), upper.max(*value));
            }
        }
        Bounds::PerFeature(pairs)
    }

    /// The same, of the samples in the shape that a model takes.
    ///
    /// # Errors
    /// As [`reshaped_for`](Self::reshaped_for).
    pub fn feature_bounds_for(&self, shape: &[usize]) -> Result<Bounds> {
        if self.shape() == shape {
            return Ok(self.feature_bounds());
        }
        Ok(self.clone().reshaped_for(shape)?.feature_bounds())
    }

    fn bad_value(
        &self,
        sample: usize,
        feature: usize,
        value: f32,
        (lower, upper): (f32, f32),
    ) -> Error {
        let place = format!("sample {}, feature {feature} is {value}", self.id(sample));
        if !value.is_finite() {
            return self.x_source.refuse(format!("{place}; every value must be finite"));
        }
        let (least, most) = self
            .x
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
        let pixels =
            most > 1.0 && self.x.iter().all(|v| (0.0..=255.0).contains(v) && v.fract() == 0.0);
        let advice = if pixels && upper <= 1.0 {
            "the values look like 8-bit pixels: divide them by 255, or set the bounds to 0 and 255 if the model \
             takes them so"
                .to_owned()
        } else {
            format!(
                "the data ranges from {least} to {most}: set the bounds to what the model takes, or rescale the data"
            )
        };
        self.x_source.refuse(format!("{place}, outside the bounds [{lower}, {upper}]; {advice}"))
    }

    fn bad_label(&self, sample: usize, classes: usize) -> Error {
        let from_one = self.y.iter().all(|label| (1..=classes).contains(label));
        let advice = if from_one { "; they seem to count from 1: subtract 1" } else { "" };
        self.y_source.refuse(format!(
            "the label of sample {} is {}, but the model has {classes} classes, labels 0 to {}{advice}",
            self.id(sample),
            self.y[sample],
            classes.saturating_sub(1)
        ))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn message(x: [[f32; 2]; 2], y: [usize; 2], bounds: &Bounds) -> String {
        let data = Dataset::from_arrays(arr2(&x).view(), &y).unwrap();
        data.validate(bounds, 3).unwrap_err().to_string()
    }

    #[test]
    fn sound_data_passes() {
        let data = Dataset::from_arrays(arr2(&[[0.0, 7.0], [1.0, -7.0]]).view(), &[0, 2]).unwrap();
        data.validate(&Bounds::NONE, 3).unwrap();
        data.validate(&Bounds::Uniform(-7.0, 7.0), 3).unwrap();
        data.validate(&Bounds::PerFeature(vec![(0.0, 1.0), (-7.0, 7.0)]), 3).unwrap();
    }

    #[test]
    fn bounds_are_those_of_each_feature() {
        let x = arr2(&[[0.5, 7.0], [0.25, -7.0], [3.0, 0.0]]);
        let data = Dataset::from_arrays(x.view(), &[0, 2, 1]).unwrap();
        let bounds = data.feature_bounds();
        assert_eq!(bounds, Bounds::PerFeature(vec![(0.25, 3.0), (-7.0, 7.0)]));
        data.validate(&bounds, 3).unwrap();
        let one = data.subset(1, Some(1)).unwrap().feature_bounds();
        assert_eq!(one, Bounds::PerFeature(vec![(0.25, 0.25), (-7.0, -7.0)]));
    }

    #[test]
    fn faults_are_named() {
        let images = &Bounds::default();
        assert_eq!(
            message([[0.0, 1.0], [f32::NAN, 0.0]], [0, 1], images),
            "data: `x`: sample 1, feature 0 is NaN; every value must be finite"
        );
        assert!(
            message([[f32::INFINITY, 1.0], [0.0; 2]], [0, 1], &Bounds::NONE).contains("is inf;")
        );
        assert_eq!(
            message([[0.0, 255.0], [8.0, 0.0]], [0, 1], images),
            "data: `x`: sample 0, feature 1 is 255, outside the bounds [0, 1]; the values look like 8-bit pixels: \
             divide them by 255, or set the bounds to 0 and 255 if the model takes them so"
        );
        assert_eq!(
            message([[0.5, 0.0], [-2.5, 2.0]], [0, 1], images),
            "data: `x`: sample 1, feature 0 is -2.5, outside the bounds [0, 1]; the data ranges from -2.5 to 2: \
             set the bounds to what the model takes, or rescale the data"
        );
        let per_feature = Bounds::PerFeature(vec![(0.0, 1.0), (0.0, 0.5)]);
        assert!(message([[1.0, 0.5], [1.0, 0.6]], [0, 1], &per_feature).contains("[0, 0.5]"));
        let nonsense = Bounds::Uniform(f32::NAN, 1.0);
        assert!(message([[1.0, 0.5], [1.0, 0.6]], [0, 1], &nonsense).contains("outside"));
        assert_eq!(
            message([[0.0; 2]; 2], [0, 3], images),
            "data: `y`: the label of sample 1 is 3, but the model has 3 classes, labels 0 to 2"
        );
        assert!(message([[0.0; 2]; 2], [1, 3], images).contains("count from 1: subtract 1"));
        let short = Bounds::PerFeature(vec![(0.0, 1.0)]);
        assert_eq!(
            message([[0.0; 2]; 2], [0, 0], &short),
            "`bounds` is 1 pairs: one per feature is 2"
        );
    }

    #[test]
    fn a_subset_names_the_sample_in_the_file() {
        let x = arr2(&[[0.0, 0.0], [0.0, 0.0], [0.0, 2.5]]);
        let data = Dataset::from_arrays(x.view(), &[0, 0, 0]).unwrap().subset(1, None).unwrap();
        let message = data.validate(&Bounds::default(), 2).unwrap_err().to_string();
        assert!(message.contains("sample 2, feature 1 is 2.5"), "{message}");
    }
}
