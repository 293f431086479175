//! Steps along the steepest coordinates.

/// Moves the `count` steepest coordinates of `point` that the box lets move (the first of equals) by the same amount
/// each, `length` in all, along the sign of `direction`. Those above them that the box blocks move as far, out of the
/// box: a projection that takes from all changes alike then leaves them at their bounds.
///
/// `keys` is room to work in. `direction` is finite.
pub(crate) fn spread(
    point: &mut [f32],
    direction: &[f32],
    length: f64,
    count: usize,
    bounds: impl Fn(usize) -> (f32, f32),
    keys: &mut Vec<u64>,
) {
    // Steepness above, index below.
    let key = |i: usize, g: f32| (u64::from(g.abs().to_bits()) << 32) | u64::from(!(i as u32));
    let slopes = || direction.iter().copied().enumerate().filter(|(_, g)| *g != 0.0);
    keys.clear();
    keys.extend(slopes().filter_map(|(i, g)| {
        let (lower, upper) = bounds(i);
        let moves = if g > 0.0 { point[i] < upper } else { point[i] > lower };
        moves.then(|| key(i, g))
    }));
    let count = count.min(keys.len());
    if count == 0 {
        return;
    }
    let (_, last, _) = keys.select_nth_unstable_by(count - 1, |a, b| b.cmp(a));
    let (last, share) = (*last, length / count as f64);
    for (i, g) in slopes().filter(|&(i, g)| key(i, g) >= last) {
        point[i] = (f64::from(point[i]) + share.copysign(f64::from(g))) as f32;
    }
}
