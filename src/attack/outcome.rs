//! What an attack comes to.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What an attack did to one sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The best feasible point that the target was asked about: the closest success, else the one nearest to the
    /// decision boundary; none when it was asked about no feasible point.
    pub point: Option<Vec<f32>>,
    /// Whether the point met the aim when it was asked about, and again when it was run alone.
    pub success: bool,
    /// Forward passes.
    pub forward: u64,
    /// Backward passes.
    pub backward: u64,
    /// Steps at which the gradient was identically zero.
    pub zero_gradients: u64,
    /// The first non-finite logit: (class, value).
    pub non_finite: Option<(usize, f32)>,
    /// The member of an ensemble that broke the sample; none where the attack itself did.
    pub member: Option<Member>,
    /// What a [transformation](super::Family::Transformation) did to get to the point.
    pub change: Option<serde_json::Value>,
    pub(super) margin: f32,
    pub(super) distance: f64,
    /// Whether the point has not been explained yet.
    pub(super) is_new: bool,
}

/// An attack within an ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name there.
    pub name: Cow<'static, str>,
    /// The name of its access class.
    pub access: Cow<'static, str>,
}

/// The closest success of a slot so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closest<'a> {
    /// The point.
    pub point: &'a [f32],
    /// Its perturbation's size in the threat's norm.
    pub distance: f64,
    /// Its [margin](crate::Aim::margin), zero or negative.
    pub margin: f32,
}

impl Outcome {
    /// Forward and backward passes.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.forward + self.backward
    }

    /// Takes the counts, and leaves what was found.
    pub(super) fn split_off_counts(&mut self) -> Self {
        let Self { forward, backward, zero_gradients, non_finite, .. } = *self;
        (self.forward, self.backward, self.zero_gradients) = (0, 0, 0);
        Self { forward, backward, zero_gradients, non_finite, ..Self::default() }
    }

    /// Adds what another run on the same sample did: passes add up, the better point stays.
    pub(super) fn absorb(&mut self, other: Self) {
        self.forward += other.forward;
        self.backward += other.backward;
        self.zero_gradients += other.zero_gradients;
        self.non_finite = self.non_finite.or(other.non_finite);
        let better = match (self.success, other.success) {
            (true, true) => other.distance < self.distance,
            (false, false) => self.point.is_none() || other.margin < self.margin,
            (_, other) => other,
        };
        if better && other.point.is_some() {
            (self.point, self.success) = (other.point, other.success);
            (self.margin, self.distance) = (other.margin, other.distance);
            (self.member, self.change) = (other.member, other.change);
        }
    }
}
