//! From the attacker's goal to the aim on each sample.

use rand::RngExt;

use crate::goal::{Aim, Goal, likeliest};
use crate::rng;

/// The aim on sample `sample` of the data set, which says when it is broken; none when its target would be its own label.
///
/// `logits` are those at the clean input.
pub(super) fn aim(
    goal: &Goal,
    seed: u64,
    sample: usize,
    label: usize,
    logits: &[f32],
) -> Option<Aim> {
    let target = match goal {
        Goal::Untargeted | Goal::EveryOther => return Some(Aim::untargeted(label)),
        Goal::Class(class) => *class,
        Goal::PerSample(classes) => classes[sample],
        Goal::Random => {
            let draw = rng::stream(seed, "goal", sample, 0).random_range(0..logits.len() - 1);
            draw + usize::from(draw >= label)
        }
        Goal::LeastLikely => least_likely(logits, label),
        Goal::KthLikely(k) => likeliest(logits, label)[k - 1],
    };
    (target != label).then(|| Aim::targeted(label, target))
}

/// The first class with the smallest logit, the label excepted.
fn least_likely(logits: &[f32], label: usize) -> usize {
    let mut least = usize::from(label == 0);
    for (class, z) in logits.iter().enumerate() {
        if class != label && *z < logits[least] {
            least = class;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [0.5, -3.0, 2.0, -3.0];

    #[test]
    fn least_likely_skips_the_label_and_takes_the_first() {
        let target = |label| aim(&Goal::LeastLikely, 0, 0, label, &LOGITS).unwrap().target;
        assert_eq!([target(2), target(1), target(0)], [Some(1), Some(3), Some(1)]);
    }

    #[test]
    fn kth_likely_skips_the_label_and_takes_the_first() {
        let target = |k, label| aim(&Goal::KthLikely(k), 0, 0, label, &LOGITS).unwrap().target;
        assert_eq!([1, 2, 3].map(|k| target(k, 2)), [0, 1, 3].map(Some));
        assert_eq!([1, 2, 3].map(|k| target(k, 1)), [2, 0, 3].map(Some));
    }

    #[test]
    fn random_targets_cover_every_other_class() {
        let mut seen = [0; 4];
        for sample in 0..200 {
            let aim = aim(&Goal::Random, 7, sample, 1, &LOGITS).unwrap();
            seen[aim.target.unwrap()] += 1;
        }
        assert_eq!(seen[1], 0);
        assert!([0, 2, 3].iter().all(|&class| seen[class] > 30), "{seen:?}");
    }

    #[test]
    fn a_target_that_is_the_label_is_no_aim() {
        assert_eq!(aim(&Goal::Class(2), 0, 0, 2, &LOGITS), None);
        assert_eq!(aim(&Goal::PerSample(vec![0, 3]), 0, 1, 3, &LOGITS), None);
    }
}
