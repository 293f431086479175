//! Adversarial points of an earlier run, judged again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;

use super::judge::Judge;
use super::{aims, validate};
use crate::attack::{Subject, Transform};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::goal::argmax;
use crate::model::Classifier;
use crate::threat::{Bounds, Threat, Violation};

/// A point that is said to break a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// The sample's index in the data set.
    pub(crate) sample: usize,
    pub(crate) threat: &'a Threat,
    pub(crate) point: &'a [f32],
    /// What the model is said to take it for.
    pub(crate) prediction: usize,
    /// What its size is said to be; none where transformations are the threat.
    pub(crate) distance: Option<f64>,
    /// What is said to have been done to the sample, where transformations are the threat and are known.
    pub(crate) change: Option<(&'a dyn Transform, &'a serde_json::Value)>,
}

/// What became of a stored adversarial point.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It lies within the threat, and the model takes it for what was recorded.
    Holds,
    /// It lies outside the threat.
    Outside(Violation),
    /// It is within the threat, but of another size than recorded.
    OtherSize(f64),
    /// The transformation that was recorded leads to another point.
    OtherChange,
    /// The model takes it for a class that is no success.
    NotFooled(usize),
    /// The model takes it for another wrong class than was recorded.
    OtherPrediction(usize),
    /// The model does not classify the sample correctly without an attack, or the target is the label: there is nothing to break.
    NothingToBreak,
    /// Logits, at the point or the sample, that are not finite.
    NotFinite,
    /// The report has no such point: another row, sample, class or size.
    NotRecorded,
}

/// Judges every claim, as the run with this seed judged what its attacks proposed.
///
/// # Errors
/// [`Error::Parameter`] and [`Error::Data`] when model, data and threats do not fit; the model's errors when it cannot be run.
pub(crate) fn verify(
    model: &dyn Classifier,
    data: &Dataset,
    seed: u64,
    claims: &[Claim<'_>],
) -> Result<Vec<Verdict>> {
    data.bound_to(model, |model, data| {
        validate::model(model.info())?;
        let mut data = data.shaped_for(model)?;
        data.validate(&Bounds::NONE, model.classes())?;
        let total = data.ids().iter().max().map_or(0, |last| last + 1);
        let mut known: Vec<&Threat> = vec![];
        for claim in claims {
            if !known.contains(&claim.threat) {
                claim.threat.validate(total, data.features(), model.classes())?;
                if let Cow::Owned(snapped) = data.realisable(&claim.threat.domain)? {
                    data = Cow::Owned(snapped);
                }
                known.push(claim.threat);
            }
        }
        let court = Court { judge: Judge { model }, data: &data, seed };
        let places = claims.iter().map(|claim| court.place(claim.sample));
        let places: Vec<usize> = places.collect::<Result<_>>()?;
        let mut unique = places.clone();
        unique.sort_unstable();
        unique.dedup();
        let clean = unique.into_par_iter().map(|at| Ok((at, court.clean(at)?)));
        let clean: BTreeMap<usize, Option<Vec<f32>>> = clean.collect::<Result<_>>()?;
        let cases: Vec<_> = claims.iter().zip(&places).collect();
        cases
            .into_par_iter()
            .map(|(claim, at)| court.judge(claim, *at, clean[at].as_deref()))
            .collect()
    })
}

struct Court<'a> {
    judge: Judge<'a>,
    data: &'a Dataset,
    seed: u64,
}

impl Court<'_> {
    /// Where the sample with this index in the file is.
    fn place(&self, sample: usize) -> Result<usize> {
        self.data.ids().iter().position(|id| *id == sample).ok_or_else(|| {
            let expected = format!("{} has {} samples", self.data.path(), self.data.len());
            Error::parameter("sample", sample, expected)
        })
    }

    /// The logits of a sample without an attack; none when they are not finite.
    fn clean(&self, at: usize) -> Result<Option<Vec<f32>>> {
        finite(self.judge.logits(self.data.id(at), self.data.sample(at)))
    }

    fn judge(&self, claim: &Claim<'_>, at: usize, clean: Option<&[f32]>) -> Result<Verdict> {
        let Claim { sample, threat, point, .. } = *claim;
        let region = threat.region(sample, self.data.sample(at));
        let size = match region.check(point) {
            Ok(size) => size,
            Err(violation) => return Ok(Verdict::Outside(violation)),
        };
        if claim.distance.is_some_and(|distance| (size - distance).abs() > 1e-9 * distance.abs()) {
            return Ok(Verdict::OtherSize(size));
        }
        if let Some((transform, change)) = claim.change {
            let of = (sample, self.data.sample(at));
            let subject = Subject::new(of, self.data.shape(), threat, self.seed);
            let rendered = transform.render(&subject, change).map(|mut rendered| {
                region.project(&mut rendered);
                region.realise(&mut rendered);
                rendered
            });
            if !rendered.is_some_and(|rendered| is_near(&rendered, point)) {
                return Ok(Verdict::OtherChange);
            }
        }
        let label = self.data.labels()[at];
        let Some(clean) = clean else { return Ok(Verdict::NotFinite) };
        let aim = aims::aim(&threat.goal, self.seed, sample, label, clean);
        let Some(aim) = aim.filter(|_| argmax(clean) == label) else {
            return Ok(Verdict::NothingToBreak);
        };
        let Some(logits) = finite(self.judge.logits(sample, point))? else {
            return Ok(Verdict::NotFinite);
        };
        let prediction = argmax(&logits);
        Ok(if !aim.is_met(&logits) {
            Verdict::NotFooled(prediction)
        } else if prediction != claim.prediction {
            Verdict::OtherPrediction(prediction)
        } else {
            Verdict::Holds
        })
    }
}

fn finite(logits: Result<Vec<f32>>) -> Result<Option<Vec<f32>>> {
    match logits {
        Err(Error::NonFiniteLogit { .. }) => Ok(None),
        logits => logits.map(Some),
    }
}

/// Whether two points differ by no more than the elementary functions of two machines.
fn is_near(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * a.abs().max(1.0))
}
