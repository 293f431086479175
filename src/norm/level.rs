//! The threshold of the projection onto an L1 ball that a box may cut.

/// The t with sum of `min(max(t - gap, 0), room)` = `eps`, for changes given as (gap, room): how much smaller one is than
/// the `largest`, and how far the box lets it go. `largest`, if the box alone keeps the sum below `eps`.
///
/// Written in the distance to the largest change, so that a small eps is not lost beside a large change. Each round
/// solves for t on the piece of the piecewise linear sum that the last t lies on (without a box, Michelot's iteration);
/// where that leads out of the bracket, the bracket is halved.
#[expect(clippy::float_cmp, reason = "the same piece has the same solution, bit for bit")]
pub(super) fn water_level<I: Iterator<Item = (f64, f64)>>(
    changes: impl Fn() -> I,
    largest: f64,
    eps: f64,
) -> f64 {
    let (mut low, mut high, mut level) = (0.0, largest, largest);
    loop {
        let (mut gaps, mut rooms, mut sum, mut moving) = (0.0, 0.0, 0.0, 0_usize);
        for (gap, room) in changes() {
            let change = level - gap;
            if change >= room {
                rooms += room;
                sum += room;
            } else if change > 0.0 {
                gaps += gap;
                sum += change;
                moving += 1;
            }
        }
        let solution = (eps - rooms + gaps) / moving as f64;
        if solution == level {
            return level;
        }
        if sum > eps {
            high = level;
        } else {
            low = level;
        }
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return low;
        }
        level = if solution > low && solution < high { solution } else { middle };
    }
}
