//! Samples in groups.

use serde::{Deserialize, Serialize};

/// Distinct values that a column may have to make groups: more are no grouping but a measurement.
const MOST: usize = 1000;

/// The groups that a column of the data set makes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grouping {
    /// The column, or the array.
    pub column: String,
    /// The values that occur in the whole data set: numbers by size, else in order of the text.
    pub values: Vec<String>,
    /// The index of its value in [`values`](Self::values), per sample.
    pub of: Vec<usize>,
}

impl Grouping {
    pub(super) fn new<S: AsRef<str>>(column: &str, texts: &[S]) -> Result<Self, String> {
        let text = |text: &S| match text.as_ref().trim() {
            "" => "(missing)".to_owned(),
            text => text.to_owned(),
        };
        let texts: Vec<String> = texts.iter().map(text).collect();
        let mut values = texts.clone();
        values.sort();
        values.dedup();
        if values.len() > MOST {
            return Err(format!(
                "{} distinct values, more than the {MOST} that may make groups",
                values.len()
            ));
        }
        let number = |text: &String| text.parse().ok().filter(|value: &f64| value.is_finite());
        if let Some(numbers) = values.iter().map(number).collect::<Option<Vec<f64>>>() {
            let mut sorted: Vec<_> = numbers.into_iter().zip(values).collect();
            sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
            values = sorted.into_iter().map(|(_, text)| text).collect();
        }
        let place = |text: &String| values.iter().position(|value| value == text).unwrap_or(0);
        let of = texts.iter().map(place).collect();
        Ok(Self { column: column.to_owned(), values, of })
    }

    /// Those of samples with these indices.
    pub(crate) fn of_samples(&self, ids: &[usize]) -> Self {
        let of = ids.iter().map(|id| self.of[*id]).collect();
        Self { column: self.column.clone(), values: self.values.clone(), of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_their_order() {
        let groups = |texts: &[&str]| Grouping::new("c", texts).unwrap();
        let found = groups(&["b", "a", " b ", ""]);
        assert_eq!(
            (found.values, found.of),
            (vec!["(missing)".into(), "a".into(), "b".into()], vec![2, 1, 2, 0])
        );
        let found = groups(&["10", "9", "-1.5", "10"]);
        assert_eq!(
            (found.values, found.of),
            (vec!["-1.5".into(), "9".into(), "10".into()], vec![2, 1, 0, 2])
        );
        assert_eq!(groups(&["10", "9", "x"]).values, ["10", "9", "x"]);
        let many: Vec<String> = (0..1001).map(|value| value.to_string()).collect();
        assert!(Grouping::new("c", &many[1..]).is_ok());
        assert!(Grouping::new("c", &many).unwrap_err().contains("1001 distinct values"));
    }
}
