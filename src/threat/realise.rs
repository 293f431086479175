//! From a point that an attack thinks of to one that data can be.

use super::Region;

/// Where a perturbation goes on, beyond the last value that it has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    /// The feature that moves on, or, of a group, that which becomes 1.
    feature: usize,
    /// Of a group, the feature that becomes 0.
    leaves: Option<usize>,
    passed: f32,
    next: f32,
    /// How much of the way from one to the other the perturbation has gone.
    share: f64,
}

impl Stride {
    fn take(&self, point: &mut [f32]) {
        point[self.feature] = self.next;
        self.leaves.into_iter().for_each(|left| point[left] = 0.0);
    }

    fn undo(&self, point: &mut [f32]) {
        point[self.feature] = self.passed;
        self.leaves.into_iter().for_each(|left| point[left] = 1.0);
    }

    /// Whether the next value is the nearer one; of two that are as near, the passed one is.
    fn is_nearer(&self) -> bool {
        self.share > 0.5
    }
}

impl Region<'_> {
    /// Moves `point` to one that the [domain](super::Domain) allows: features with levels to the nearest, the largest feature
    /// of a group to 1, ties towards the clean input. Of these features, masked ones become the clean value. A point in
    /// ball, box and mask stays in them, one that the domain allows is left as it is, and so are continuous features.
    ///
    /// Where features share a budget that does not afford all of that, those go on to the next level that have gone most of
    /// the way. Where the levels make the perturbation smaller than it was, those that have gone less than half of the way
    /// follow until it is as large: of many small changes, few are left, of a step each. A point outside the ball ends no
    /// further outside.
    pub fn realise(&self, point: &mut [f32]) {
        self.realise_in(point, &mut vec![]);
    }

    /// The same with `strides` to work in.
    pub(crate) fn realise_in(&self, point: &mut [f32], strides: &mut Vec<Stride>) {
        if self.domain.is_continuous() {
            return;
        }
        let size = self.distance(point);
        strides.clear();
        self.stay_on_levels(point, strides);
        self.stay_in_groups(point, strides);
        let Some(power) = self.norm.power() else {
            let nearer = strides.iter().filter(|stride| stride.is_nearer());
            return nearer.for_each(|stride| stride.take(point));
        };
        strides.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.feature.cmp(&b.feature)));
        let limit = size.max(self.radius.largest());
        // Sums are rounded; the norm itself has the last word.
        let room = |size: f64| size.powi(power) * (1.0 + 1e-12);
        let mut spent = self.distance(point).powi(power);
        strides.retain(|stride| {
            let after = spent + self.cost(stride).powi(power) - self.paid(stride).powi(power);
            let affords = after <= room(if stride.is_nearer() { limit } else { size });
            spent = if affords { after } else { spent };
            affords
        });
        strides.iter().for_each(|stride| stride.take(point));
        while self.distance(point) > limit
            && let Some(stride) = strides.pop()
        {
            stride.undo(point);
        }
    }

    /// Takes features with levels back to the last that they have passed, and writes down where they go on.
    fn stay_on_levels(&self, point: &mut [f32], strides: &mut Vec<Stride>) {
        if self.domain.grid.is_none() {
            return;
        }
        for (feature, x) in point.iter_mut().enumerate() {
            let Some(spacing) = self.domain.spacing_at(feature) else { continue };
            let (clean, wanted) = (self.clean[feature], self.within_box(feature, *x));
            let (passed, next) = spacing.around(clean, wanted);
            *x = passed;
            if self.allows(feature, wanted, next) {
                let way = |to: f32| f64::from(to) - f64::from(passed);
                let share = way(wanted) / way(next);
                strides.push(Stride { feature, leaves: None, passed, next, share });
            }
        }
    }

    /// Takes groups back to the clean input, and writes down where they go on.
    fn stay_in_groups(&self, point: &mut [f32], strides: &mut Vec<Stride>) {
        for group in &self.domain.one_hot {
            let wanted = |feature: usize| self.within_box(feature, point[feature]);
            let largest = |value: &dyn Fn(usize) -> f32, but: Option<usize>| {
                let rest = group.iter().copied().filter(|&feature| Some(feature) != but);
                rest.reduce(|best, next| if value(next) > value(best) { next } else { best })
            };
            let Some(left) = largest(&|feature| self.clean[feature], None) else { continue };
            let Some(feature) = largest(&wanted, Some(left)) else { continue };
            let (gains, loses) = (wanted(feature), wanted(left));
            let share = f64::midpoint(1.0, f64::from(gains) - f64::from(loses));
            group.iter().for_each(|&feature| point[feature] = self.clean[feature]);
            if share > 0.0 && self.allows(feature, gains, 1.0) && self.allows(left, loses, 0.0) {
                let (passed, next) = (0.0, 1.0);
                strides.push(Stride { feature, leaves: Some(left), passed, next, share });
            }
        }
    }

    /// The nearest value in the box; of what may not change, or is no number, the clean one.
    fn within_box(&self, feature: usize, x: f32) -> f32 {
        if x.is_nan() || !self.is_free(feature) {
            return self.clean[feature];
        }
        let (lower, upper) = self.bounds_at(feature);
        x.clamp(f32::MIN, f32::MAX).max(lower).min(upper)
    }

    /// Whether a feature that is to be at `wanted` may be at `next` instead: in the box and, where it has a budget to
    /// itself, within that, or no further from the clean value.
    fn allows(&self, feature: usize, wanted: f32, next: f32) -> bool {
        let change = |x: f32| (f64::from(x) - f64::from(self.clean[feature])).abs();
        let (lower, upper) = self.bounds_at(feature);
        let has_own_budget = self.norm.power().is_none();
        let most = self.radius.at(feature).max(change(wanted));
        (lower..=upper).contains(&next) && !(has_own_budget && change(next) > most)
    }

    /// The size of a perturbation that takes a stride.
    fn cost(&self, stride: &Stride) -> f64 {
        match stride.leaves {
            Some(left) => {
                let clean = [self.clean[stride.feature], self.clean[left]];
                self.norm.size(&clean, &[stride.next, 0.0])
            }
            None => self.norm.size(&[self.clean[stride.feature]], &[stride.next]),
        }
    }

    /// The size of one that does not.
    fn paid(&self, stride: &Stride) -> f64 {
        match stride.leaves {
            Some(_) => 0.0,
            None => self.norm.size(&[self.clean[stride.feature]], &[stride.passed]),
        }
    }
}
