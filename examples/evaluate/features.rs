//! The flags that say what the data can be, feature by feature.

use ironbound::{Domain, Levels, Monotone, Result, Spacing, Threat};

use crate::loading::fault;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Values are levels, of which adversarial samples must be as well: 1/255 for pixels of 8 bits, 2/255:-1 where they are
    /// counted from -1. Features of --integer and --one-hot are not meant
    #[arg(long, value_name = "STEP[:LEVEL]")]
    grid: Option<String>,
    /// Features that are integers, counted from 0: 3,4 or 3-7
    #[arg(long, value_name = "I,J-K", value_delimiter = ',')]
    integer: Vec<String>,
    /// A group of features of which one is 1 and the others are 0: 5-8; repeat it for more
    #[arg(long, value_name = "I-J")]
    one_hot: Vec<String>,
    /// Features that an attacker can only raise
    #[arg(long, value_name = "I,J-K", value_delimiter = ',')]
    increase: Vec<String>,
    /// Features that an attacker can only lower
    #[arg(long, value_name = "I,J-K", value_delimiter = ',')]
    decrease: Vec<String>,
    /// Features that an attacker cannot change
    #[arg(long, value_name = "I,J-K", value_delimiter = ',')]
    immutable: Vec<String>,
}

/// What they say.
#[derive(Debug)]
pub(crate) struct Features {
    grid: Option<Spacing>,
    integers: Vec<usize>,
    groups: Vec<Vec<usize>>,
    ways: Vec<(usize, Monotone)>,
    immutable: Vec<usize>,
}

impl Flags {
    pub(crate) fn read(&self) -> Result<Features> {
        let one = |text: &String| range("one-hot", text);
        let ways = |flag, texts, way| {
            let all: Result<Vec<usize>> = list(flag, texts);
            all.map(|all| all.into_iter().map(move |feature| (feature, way)))
        };
        let up = ways("increase", &self.increase, Monotone::Increase)?;
        let down = ways("decrease", &self.decrease, Monotone::Decrease)?;
        Ok(Features {
            grid: self.grid.as_deref().map(str::parse).transpose()?,
            integers: list("integer", &self.integer)?,
            groups: self.one_hot.iter().map(one).collect::<Result<_>>()?,
            ways: up.chain(down).collect(),
            immutable: list("immutable", &self.immutable)?,
        })
    }
}

impl Features {
    /// The threat, for samples of `count` features.
    pub(crate) fn restrict(&self, threat: Threat, count: usize) -> Result<Threat> {
        let ways = self.ways.iter().map(|(feature, _)| feature);
        for (flag, feature) in (self.integers.iter().map(|feature| ("integer", feature)))
            .chain(self.groups.iter().flatten().map(|feature| ("one-hot", feature)))
            .chain(ways.map(|feature| ("increase, decrease", feature)))
            .chain(self.immutable.iter().map(|feature| ("immutable", feature)))
        {
            if *feature >= count {
                let last = count.saturating_sub(1);
                let expected = format!("the samples have {count} features, 0 to {last}");
                return Err(fault(flag, &feature.to_string(), &expected));
            }
        }
        let domain = Domain {
            grid: self.levels(count),
            one_hot: self.groups.clone(),
            monotone: self.monotone(count)?,
        };
        let mask = self.immutable.iter().fold(vec![true; count], |mut mask, &feature| {
            mask[feature] = false;
            mask
        });
        let threat = threat.with_domain(domain);
        Ok(if self.immutable.is_empty() { threat } else { threat.with_mask(mask) })
    }

    fn levels(&self, count: usize) -> Option<Levels> {
        if self.integers.is_empty() && (self.groups.is_empty() || self.grid.is_none()) {
            return self.grid.map(Levels::Uniform);
        }
        let mut levels = vec![self.grid; count];
        self.groups.iter().flatten().for_each(|&feature| levels[feature] = None);
        self.integers.iter().for_each(|&feature| levels[feature] = Some(Spacing::INTEGER));
        Some(Levels::PerFeature(levels))
    }

    fn monotone(&self, count: usize) -> Result<Option<Vec<Monotone>>> {
        if self.ways.is_empty() {
            return Ok(None);
        }
        let mut all = vec![Monotone::Free; count];
        for &(feature, way) in &self.ways {
            if ![Monotone::Free, way].contains(&all[feature]) {
                let expected = "this feature shall increase only as well: it cannot change, which --immutable says";
                return Err(fault("decrease", &feature.to_string(), expected));
            }
            all[feature] = way;
        }
        Ok(Some(all))
    }
}

/// Reads "3" and "3-7" in turn.
fn list(flag: &str, texts: &[String]) -> Result<Vec<usize>> {
    let ranges: Result<Vec<_>> = texts.iter().map(|text| range(flag, text)).collect();
    ranges.map(|ranges| ranges.concat())
}

fn range(flag: &str, text: &str) -> Result<Vec<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let ends = number(first).zip(number(last)).filter(|(first, last)| first <= last);
    ends.map(|(first, last)| (first..=last).collect())
        .ok_or_else(|| fault(flag, text, "expected features counted from 0, such as 3 or 3-7"))
}
