//! Any fixed-budget attack as a minimal-norm attack.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{AnyAttack, AttackSpec, Family, Outcome, Pgd, Sample, Session, checks, expect_norm};
use crate::error::{Error, Result};
use crate::norm::Norm;
use crate::threat::{Budget, Region, Threat};

/// The smallest budget at which a fixed-budget attack succeeds, by bisection.
///
/// On a command line, `minimal:inner=pgd:steps=10;loss=margin`: the parameters of the attack inside are separated by
/// semicolons.
///
/// # Threat model
/// That of the attack inside; the budget plays no part.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// [`Pgd`] with its defaults, until the budget is known to 1 % or after 30 runs.
///
/// # Queries per sample
/// At most `runs` times those of the attack inside. A query limit is one for all runs together.
///
/// # Errors
/// Those of the attack inside.
///
/// # Reference
/// None: bisection. The first budget is a sixteenth of the distance to the farthest corner within the bounds (of a change
/// of 1 in features without bounds); it grows fourfold until one succeeds. A success at a smaller distance than the budget
/// takes the budget's place.
///
/// # Differences
/// Every run draws the same random numbers. An attack that succeeds at some budget and fails at a larger one is taken at
/// its word: the point that counts is the closest one that it found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    bound(deserialize = "A: Deserialize<'de> + FromStr<Err = Error>, Minimal<A>: Default")
)]
pub struct Minimal<A = AttackSpec> {
    /// The attack to run at each budget, which is not one that looks for the smallest perturbation itself.
    #[serde(deserialize_with = "inner")]
    pub inner: Box<A>,
    /// The most runs.
    pub runs: usize,
    /// How closely the budget is to be known, as a share of it.
    pub tolerance: f64,
}

impl Default for Minimal {
    fn default() -> Self {
        Self::new(Pgd::default().into())
    }
}

impl<A> Minimal<A> {
    /// Runs `inner` at each budget.
    #[must_use]
    pub fn new(inner: A) -> Self {
        Self { inner: Box::new(inner), runs: 30, tolerance: 0.01 }
    }
}

impl<A: AnyAttack + Serialize> AnyAttack for Minimal<A> {
    fn id(&self) -> &'static str {
        "minimal"
    }

    fn access(&self) -> &'static str {
        self.inner.access()
    }

    fn family(&self) -> Family {
        Family::MinimalNorm
    }

    fn norms(&self) -> &'static [Norm] {
        self.inner.norms()
    }

    fn params(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_else(|error| error.to_string().into())
    }

    fn validate(&self) -> Result<()> {
        if self.inner.family() != Family::FixedBudget {
            let expected = "expected an attack that takes a budget";
            return Err(Error::parameter("inner", self.inner.id(), expected));
        }
        checks::at_least_one("runs", self.runs)?;
        checks::positive("tolerance", self.tolerance)?;
        self.inner.validate()
    }

    fn attempt(&self, session: &Session<'_>, samples: &[Sample<'_>]) -> (Vec<Outcome>, Result<()>) {
        let mut hunts: Vec<Hunt> = samples
            .iter()
            .map(|sample| Hunt::new(&session.threat.region(sample.id, sample.clean)))
            .collect();
        let ended = expect_norm(self, session.threat.norm).and_then(|()| {
            (0..self.runs).try_for_each(|_| self.round(session, samples, &mut hunts))
        });
        (hunts.into_iter().map(|hunt| hunt.outcome).collect(), ended)
    }
}

impl<A: AnyAttack> Minimal<A> {
    /// One run of the attack on every sample that is not done, each within the budget that it has come to.
    fn round(
        &self,
        session: &Session<'_>,
        samples: &[Sample<'_>],
        hunts: &mut [Hunt],
    ) -> Result<()> {
        // Samples with the same number of queries left run together: what one sample may ask depends on no other.
        let mut groups: BTreeMap<Option<u64>, Vec<usize>> = BTreeMap::new();
        for (index, hunt) in hunts.iter().enumerate() {
            let left = session.query_limit.map(|limit| limit - hunt.outcome.queries());
            if !hunt.is_done(self.tolerance) && left != Some(0) {
                groups.entry(left).or_default().push(index);
            }
        }
        let Some(last) = samples.iter().map(|sample| sample.id).max() else { return Ok(()) };
        let mut threat = Threat { budget: Budget::Scalar(0.0), ..session.threat.clone() };
        for (query_limit, group) in groups {
            let mut budgets = vec![0.0; last + 1];
            group.iter().for_each(|&index| budgets[samples[index].id] = hunts[index].radius);
            threat.budget = Budget::PerSample(budgets);
            let within = Session { threat: &threat, query_limit, ..session.clone() };
            let attacked: Vec<Sample<'_>> = group.iter().map(|&index| samples[index]).collect();
            let (outcomes, ended) = self.inner.attempt(&within, &attacked);
            for (outcome, &index) in outcomes.into_iter().zip(&group) {
                let region = session.threat.region(samples[index].id, samples[index].clean);
                hunts[index].learn(outcome, &region);
            }
            ended?;
        }
        Ok(())
    }
}

/// The search on one sample.
#[derive(Debug)]
struct Hunt {
    /// The largest budget that failed, and the smallest distance that did not.
    lower: f64,
    upper: f64,
    /// The next budget.
    radius: f64,
    /// The largest budget of use.
    most: f64,
    outcome: Outcome,
}

impl Hunt {
    fn new(region: &Region<'_>) -> Self {
        let farthest = region.farthest();
        let most = if region.is_bounded() { farthest } else { f64::MAX };
        let radius = farthest / 16.0;
        Self { lower: 0.0, upper: f64::INFINITY, radius, most, outcome: Outcome::default() }
    }

    fn is_done(&self, tolerance: f64) -> bool {
        self.outcome.non_finite.is_some()
            || self.lower >= self.most
            || (self.upper.is_finite() && self.upper - self.lower <= tolerance * self.upper)
    }

    /// Takes note of a run and settles the next budget.
    fn learn(&mut self, found: Outcome, region: &Region<'_>) {
        if found.success {
            let size = found.point.as_deref().map_or(self.radius, |point| region.distance(point));
            self.upper = self.upper.min(size);
        } else {
            self.lower = self.lower.max(self.radius);
        }
        self.radius = if self.upper.is_finite() {
            f64::midpoint(self.lower, self.upper)
        } else {
            (4.0 * self.radius).min(self.most)
        };
        self.outcome.absorb(found);
    }
}

/// Reads an attack from its command-line form, with semicolons for commas, or from a table.
fn inner<'de, D, A>(deserializer: D) -> Result<Box<A>, D::Error>
where
    D: Deserializer<'de>,
    A: Deserialize<'de> + FromStr<Err = Error>,
{
    struct Inner<A>(PhantomData<A>);

    impl<'de, A: Deserialize<'de> + FromStr<Err = Error>> Visitor<'de> for Inner<A> {
        type Value = Box<A>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an attack, such as pgd or pgd:steps=10;loss=margin")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Box<A>, E> {
            text.replace(';', ",").parse().map(Box::new).map_err(E::custom)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Box<A>, M::Error> {
            A::deserialize(MapAccessDeserializer::new(map)).map(Box::new)
        }
    }

    deserializer.deserialize_any(Inner(PhantomData))
}
