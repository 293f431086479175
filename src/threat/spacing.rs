//! The values that a feature can have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::parse_number;
use crate::error::{Error, Result};

/// Equally spaced levels: `offset + k * numerator / denominator` for every integer k, computed in f64 and rounded to f32.
///
/// The spacing is a fraction because many a usual one, such as 1/255, has no exact binary value: level k of it is what
/// dividing k by 255 gives, in f32 as well as in f64.
///
/// ```
/// use ironbound::Spacing;
///
/// # fn main() -> ironbound::Result<()> {
/// let pixels: Spacing = "1/255".parse()?;
/// assert_eq!(pixels.level(100.0), 100.0 / 255.0);
/// assert_eq!(pixels.nearest(0.394), 100.0 / 255.0);
/// // Pixels for a model that wants them from -1 to 1.
/// let centred: Spacing = "2/255:-1".parse()?;
/// assert!(centred.holds(-1.0) && centred.holds(1.0) && !centred.holds(0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spacing {
    /// The spacing's numerator.
    pub numerator: f64,
    /// The spacing's denominator.
    #[serde(default = "one")]
    pub denominator: f64,
    /// A level.
    #[serde(default)]
    pub offset: f64,
}

fn one() -> f64 {
    1.0
}

/// By how many units in the last place of its terms a value may be off its level for the way that it was computed.
const ROUNDING: f64 = 4.0 * f32::EPSILON as f64;

impl Spacing {
    /// The integers.
    pub const INTEGER: Self = Self { numerator: 1.0, denominator: 1.0, offset: 0.0 };

    /// From one level to the next.
    #[must_use]
    pub fn step(&self) -> f64 {
        self.numerator / self.denominator
    }

    /// Level k.
    #[must_use]
    pub fn level(&self, k: f64) -> f32 {
        (self.offset + k * self.numerator / self.denominator) as f32
    }

    /// The k of the level nearest to `x`.
    #[must_use]
    pub fn index(&self, x: f32) -> f64 {
        ((f64::from(x) - self.offset) * self.denominator / self.numerator).round()
    }

    /// The level nearest to `x`.
    #[must_use]
    pub fn nearest(&self, x: f32) -> f32 {
        self.level(self.index(x))
    }

    /// Whether `x` is a level.
    #[expect(clippy::float_cmp, reason = "a level is one f32")]
    #[must_use]
    pub fn holds(&self, x: f32) -> bool {
        x == self.nearest(x)
    }

    /// The level that `x` must have been but for the rounding of a few operations in f32; none when it is further off.
    #[must_use]
    pub fn snapped(&self, x: f32) -> Option<f32> {
        let (from, level) = (f64::from(x), self.nearest(x));
        let scale = self.offset.abs().max((from - self.offset).abs());
        ((f64::from(level) - from).abs() <= ROUNDING * scale).then_some(level)
    }

    /// The last level on the way from `from` to `to`, `from` itself if there is none, and the one after it, which is not
    /// on the way unless both are `to`.
    #[expect(clippy::float_cmp, reason = "a level is one f32")]
    pub(super) fn around(&self, from: f32, to: f32) -> (f32, f32) {
        let (nearest, k) = (self.nearest(to), self.index(to));
        if nearest == to || from == to {
            return (to, to);
        }
        let (sign, is_passed) = if to > from { (1.0, nearest < to) } else { (-1.0, nearest > to) };
        let k = if is_passed { k } else { k - sign };
        (self.level(k).clamp(from.min(to), from.max(to)), self.level(k + sign))
    }

    /// # Errors
    /// [`Error::Parameter`], naming the field.
    pub(super) fn validate(&self, field: &str) -> Result<()> {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if positive(self.numerator) && positive(self.denominator) && self.offset.is_finite() {
            return Ok(());
        }
        Err(Error::parameter(field, self, EXPECTED))
    }
}

const EXPECTED: &str = "expected a step above 0 such as 1/255, with the level to count from behind a colon where that is \
                        not 0: 2/255:-1";

impl fmt::Display for Spacing {
    #[expect(clippy::float_cmp, reason = "what is not written is exactly the default")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.numerator)?;
        if self.denominator != 1.0 {
            write!(f, "/{}", self.denominator)?;
        }
        if self.offset != 0.0 {
            write!(f, ":{}", self.offset)?;
        }
        Ok(())
    }
}

impl FromStr for Spacing {
    type Err = Error;

    /// Reads "1/255", "0.5", and with an offset "2/255:-1".
    fn from_str(text: &str) -> Result<Self, Error> {
        let (step, offset) = text.split_once(':').unwrap_or((text, "0"));
        let (over, under) = step.split_once('/').unwrap_or((step, "1"));
        let number = |text: &str| text.trim().parse().ok();
        let numbers = number(over).zip(number(under)).zip(parse_number(offset));
        let ((numerator, denominator), offset) =
            numbers.ok_or_else(|| Error::parameter("grid", text, EXPECTED))?;
        let spacing = Self { numerator, denominator, offset };
        spacing.validate("grid").map(|()| spacing)
    }
}
