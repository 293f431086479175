//! Sums and maxima of rows, for loops that are to become vectors: their order hangs on nothing but the row's length.

/// So many of a row's values are taken at once, on every machine.
const LANES: usize = 16;

/// All values put together, lane by lane and then these by halves.
#[inline(always)]
pub(crate) fn folded(row: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = fold(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = fold(*lane, *x);
    }
    by_halves(lanes, fold)
}

#[inline(always)]
pub(crate) fn sum(row: &[f32]) -> f32 {
    folded(row, 0.0, |a, b| a + b)
}

/// The inner product of two rows of one length.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((chunks, rest), (others, others_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (chunk, other) in chunks.iter().zip(others) {
        for (lane, (a, b)) in lanes.iter_mut().zip(chunk.iter().zip(other)) {
            *lane += a * b;
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(rest.iter().zip(others_rest)) {
        *lane += a * b;
    }
    by_halves(lanes, |a, b| a + b)
}

#[inline(always)]
fn by_halves(mut lanes: [f32; LANES], fold: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for at in 0..width {
            lanes[at] = fold(lanes[at], lanes[at + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_take_part() {
        for length in 0..70_u16 {
            let row: Vec<f32> = (0..length).map(f32::from).collect();
            let square = |x: u16| f32::from(x) * f32::from(x);
            let found = (sum(&row), dot(&row, &row), folded(&row, -1.0, f32::max));
            let count = f32::from(length);
            let squares = (0..length).map(square).sum::<f32>();
            assert_eq!(found, (count * (count - 1.0) / 2.0, squares, count - 1.0));
        }
    }
}
