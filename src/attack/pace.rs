//! How far APGD's steps go, sample by sample, and when it returns to the best point.

/// The steps after which the step size is reconsidered: `p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06)` of the run, with
/// `p_0` = 0 and `p_1` = 0.22, rounded up (Croce & Hein 2020, section 3.2, <https://arxiv.org/abs/2003.01690>).
pub(super) fn checkpoints(steps: usize) -> Vec<usize> {
    // In hundredths: floats do not hold these numbers, and rounding up would show it.
    let (mut before, mut share) = (0, 22);
    let mut all = vec![];
    while share < 100 {
        all.push((share * steps).div_ceil(100));
        (before, share) = (share, share + (share - before - 3).max(6));
    }
    all.dedup();
    all
}

/// The same for sparse steps: every 4 % of the run (Croce & Hein 2021, section 3, <https://arxiv.org/abs/2103.01208>).
pub(super) fn sparse_checkpoints(steps: usize) -> Vec<usize> {
    let period = (steps / 25).max(1);
    (1..=steps).filter(|step| step.is_multiple_of(period)).collect()
}

/// The pace of one sample.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// The step as a share of the radius.
    pub(super) step: f64,
    /// How many coordinates a step changes; the norm's own step where none is given.
    pub(super) count: Option<usize>,
    /// The loss at the point before, and the best one.
    last: f32,
    best: f32,
    /// How often the loss rose since the last checkpoint.
    rises: usize,
    /// The best loss at the last checkpoint, and whether the step was halved there.
    best_before: f32,
    halved: bool,
    /// The changed features of the best point at the last checkpoint.
    changed: usize,
}

impl Pace {
    /// Steps of twice the radius from a point of this loss.
    pub(super) fn dense(loss: f32) -> Self {
        Self {
            step: 2.0,
            count: None,
            last: loss,
            best: loss,
            rises: 0,
            best_before: loss,
            halved: false,
            changed: 0,
        }
    }

    /// Steps of the radius along `count` coordinates, from a point of this loss that changed so many.
    pub(super) fn sparse(loss: f32, count: usize, changed: usize) -> Self {
        Self { step: 1.0, count: Some(count.max(1)), changed, ..Self::dense(loss) }
    }

    /// Notes the loss at the next point. Says whether it is the best.
    pub(super) fn note(&mut self, loss: f32) -> bool {
        self.rises += usize::from(loss > self.last);
        self.last = loss;
        let best = loss > self.best;
        if best {
            self.best = loss;
        }
        best
    }

    /// A checkpoint `since` steps after the last: halves the step, and returns to the best point, if the loss rose in
    /// less than a share `rho` of them, or if neither the step nor the best loss changed at the last checkpoint and since.
    #[expect(clippy::float_cmp, reason = "it is the same value unless it rose")]
    pub(super) fn halve(&mut self, since: usize, rho: f64) -> bool {
        let oscillates = (self.rises as f64) < rho * since as f64;
        let stands = !self.halved && self.best == self.best_before;
        self.halved = oscillates || stands;
        (self.rises, self.best_before) = (0, self.best);
        if self.halved {
            self.step /= 2.0;
            self.last = self.best;
        }
        self.halved
    }

    /// A checkpoint of sparse steps, whose best point changes `changed` features: 1 / 1.5 of them are what steps change
    /// from now on. Returns to that point with the full step if it is sparser than at the last checkpoint by 5 %;
    /// shortens the step by 1.5, to a tenth at most, otherwise.
    pub(super) fn thin_out(&mut self, changed: usize) -> bool {
        let sparser = (changed as f64) < 0.95 * self.changed as f64;
        self.step = if sparser { 1.0 } else { (self.step / 1.5).max(0.1) };
        self.count = Some(thinner(changed));
        self.changed = changed;
        sparser
    }
}

/// How many coordinates the steps from a point change that itself changes so many. Rounded down, so that it comes to one.
pub(super) fn thinner(changed: usize) -> usize {
    (changed * 2 / 3).max(1)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the steps are exact")]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_a_hundred_steps() {
        assert_eq!(checkpoints(100), [22, 41, 57, 70, 80, 87, 93, 99]);
    }

    #[test]
    fn checkpoints_of_other_runs_are_in_the_run() {
        assert_eq!(checkpoints(1), [1]);
        assert_eq!(checkpoints(10), [3, 5, 6, 7, 8, 9, 10]);
        assert_eq!(checkpoints(50), [11, 21, 29, 35, 40, 44, 47, 50]);
        for steps in 1..300 {
            let all = checkpoints(steps);
            assert!(
                all.is_sorted_by(|a, b| a < b) && all.iter().all(|at| (1..=steps).contains(at))
            );
        }
    }

    #[test]
    fn sparse_checkpoints_come_every_four_percent() {
        assert_eq!(sparse_checkpoints(100).len(), 25);
        assert_eq!(sparse_checkpoints(100)[..3], [4, 8, 12]);
        assert_eq!(sparse_checkpoints(3), [1, 2, 3]);
    }

    #[test]
    fn a_loss_that_seldom_rises_halves_the_step() {
        let mut pace = Pace::dense(0.0);
        for loss in [1.0, 2.0, 3.0, 2.5] {
            pace.note(loss);
        }
        assert!(!pace.halve(4, 0.75), "three rises of four are a share of 0.75, not less");
        for loss in [2.9, 3.5, 3.1, 3.4] {
            pace.note(loss);
        }
        assert!(!pace.clone().halve(4, 0.75));
        assert!(pace.halve(5, 0.75));
        assert_eq!((pace.step, pace.last), (1.0, 3.5));
    }

    #[test]
    fn a_best_loss_that_stands_halves_the_step_but_not_twice_in_a_row() {
        let mut pace = Pace::dense(5.0);
        let rise = |pace: &mut Pace, from: f32| {
            for step in 1..=4_u8 {
                pace.note(from + f32::from(step) * 0.1);
            }
        };
        rise(&mut pace, -9.0);
        assert!(pace.halve(4, 0.75), "below the best of the start");
        pace.note(-9.0);
        rise(&mut pace, -9.0);
        assert!(!pace.halve(5, 0.75), "the step was halved at the last checkpoint");
        rise(&mut pace, -8.0);
        assert!(pace.halve(4, 0.75));
        rise(&mut pace, 5.0);
        assert!(!pace.halve(4, 0.75), "the best rose");
        assert_eq!(pace.step, 0.5);
    }

    #[test]
    fn sparse_steps_thin_out_and_shorten() {
        let mut pace = Pace::sparse(0.0, 20, 100);
        assert!(pace.thin_out(90) && pace.step == 1.0 && pace.count == Some(60));
        assert!(!pace.thin_out(86) && pace.step == 1.0 / 1.5 && pace.count == Some(57));
        for _ in 0..9 {
            assert!(!pace.thin_out(86));
        }
        assert_eq!(pace.step, 0.1);
        assert!(pace.thin_out(2) && pace.step == 1.0 && pace.count == Some(1));
        assert_eq!((thinner(0), thinner(1), thinner(3)), (1, 1, 2));
    }
}
