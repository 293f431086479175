//! Saliency maps: which two features to change together.

/// One way to change a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) feature: usize,
    pub(super) step: f64,
    /// By how much two losses rise along it; both should.
    pub(super) gains: [f64; 2],
}

/// The two changes, of two features, under which both losses rise and the product of their rises is largest; one change
/// where no two will do, none where nothing will.
pub(super) fn best_pair(mut changes: Vec<Change>) -> Vec<Change> {
    changes.retain(|change| change.gains.iter().all(|gain| gain.is_finite()));
    keep_undominated(&mut changes);
    let product = |gains: [f64; 2]| {
        if gains.iter().all(|gain| *gain > 0.0) { gains[0] * gains[1] } else { 0.0 }
    };
    let (mut best, mut most) = (vec![], 0.0);
    for (at, &first) in changes.iter().enumerate() {
        for &second in changes[at + 1..].iter().filter(|other| other.feature != first.feature) {
            let value = product([0, 1].map(|loss| first.gains[loss] + second.gains[loss]));
            if value > most {
                (best, most) = (vec![first, second], value);
            }
        }
    }
    if best.is_empty() {
        for &change in &changes {
            if product(change.gains) > most {
                (best, most) = (vec![change], product(change.gains));
            }
        }
    }
    best
}

/// Drops what changes of two other features beat in both losses: one of them can always take its place. Few are left of
/// many, so that all pairs of them can be looked at.
fn keep_undominated(changes: &mut Vec<Change>) {
    changes.sort_by(|a, b| {
        let falling = |loss: usize| b.gains[loss].total_cmp(&a.gains[loss]);
        falling(0).then(falling(1)).then(a.feature.cmp(&b.feature))
    });
    // The largest second gain so far, and the largest of another feature.
    let mut leader: Option<(usize, f64)> = None;
    let mut next = f64::NEG_INFINITY;
    changes.retain(|change| {
        let (feature, gain) = (change.feature, change.gains[1]);
        if gain <= next {
            return false;
        }
        match leader {
            Some((first, most)) if first == feature => leader = Some((first, most.max(gain))),
            Some((_, most)) if gain > most => {
                next = most;
                leader = Some((feature, gain));
            }
            Some(_) => next = gain,
            None => leader = Some((feature, gain)),
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::rng::stream;

    fn change(feature: usize, gains: [f64; 2]) -> Change {
        Change { feature, step: 1.0, gains }
    }

    fn value(pair: &[Change]) -> f64 {
        let sum = |loss: usize| pair.iter().map(|change| change.gains[loss]).sum::<f64>();
        if sum(0) > 0.0 && sum(1) > 0.0 { sum(0) * sum(1) } else { 0.0 }
    }

    /// Against all pairs, of gains that agree, disagree, or are alike.
    #[test]
    fn no_other_pair_is_better() {
        let mut draw = stream(0, "saliency", 0, 0);
        for round in 0..600 {
            let (features, slant) = (draw.random_range(1..14), f64::from(round % 3) - 1.0);
            let mut changes = vec![];
            for feature in 0..features {
                let a: f64 = draw.random_range(-1.0..1.0);
                let b = slant * a + draw.random_range(-0.5..0.5);
                let coarse = |x: f64| if round % 2 == 0 { (x * 4.0).round() / 4.0 } else { x };
                let gains = [coarse(a), coarse(b)];
                changes.push(change(feature, gains));
                if round % 5 == 0 {
                    changes.push(change(feature, gains.map(|gain| -gain)));
                }
            }
            let found = best_pair(changes.clone());
            let (mut two, mut one) = (0.0_f64, 0.0_f64);
            for &a in &changes {
                one = one.max(value(&[a]));
                for &b in changes.iter().filter(|b| b.feature != a.feature) {
                    two = two.max(value(&[a, b]));
                }
            }
            let expected = if two > 0.0 { two } else { one };
            assert!((value(&found) - expected).abs() < 1e-12, "{found:?} {expected} {changes:?}");
            assert_eq!(found.is_empty(), expected <= 0.0);
        }
    }

    #[test]
    fn pairs_may_make_up_for_each_other() {
        let changes = vec![change(0, [10.0, -5.0]), change(1, [-5.0, 10.0]), change(2, [1.0, 1.0])];
        assert_eq!(best_pair(changes.clone())[..], changes[..2]);
        assert_eq!(best_pair(vec![changes[2], change(3, [-9.0, 0.5])])[..], changes[2..]);
        assert!(best_pair(vec![change(0, [1.0, 0.0]), change(1, [f64::NAN, 1.0])]).is_empty());
    }
}
