//! Clouds by the diamond-square algorithm.

use rand::RngExt;

use super::image::Plane;
use crate::rng::Stream;

/// A cloud from 0 to 1 over a square that holds `rows` by `columns` pixels, cut to them. From one scale to the next
/// smaller one, what is added at random shrinks by the square of `decay`.
pub(super) fn plasma(rows: usize, columns: usize, decay: f64, stream: &mut Stream) -> Plane {
    let side = rows.max(columns).next_power_of_two();
    let mut map = Plane::from_fn(side, side, |_, _| 0.0);
    let (mut step, mut size) = (side, 1.0);
    while step >= 2 {
        let half = step / 2;
        // The middles of the squares come first: the middles of their sides are means of them too.
        let offsets = [(half, half), (0, half), (half, 0)];
        for (pass, (top, left)) in offsets.into_iter().enumerate() {
            for row in (top..side).step_by(step) {
                for column in (left..side).step_by(step) {
                    let draw: f64 = stream.random_range(-1.0..1.0);
                    let mean = mean_around(&map, (row, column), half, pass == 0);
                    map.values[row * side + column] = mean + size * draw;
                }
            }
        }
        step = half;
        size /= decay * decay;
    }
    let lowest = map.values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = map.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if highest > lowest { highest - lowest } else { 1.0 };
    Plane::from_fn(rows, columns, |row, column| (map.at(row, column) - lowest) / range)
}

/// The mean of the four values at a distance, across the corners or along the axes; the map goes on at its other side.
fn mean_around(map: &Plane, (row, column): (usize, usize), away: usize, corners: bool) -> f64 {
    let side = map.rows;
    let back = side - away;
    let at = |down: usize, along: usize| map.at((row + down) % side, (column + along) % side);
    let sum = if corners {
        at(back, back) + at(back, away) + at(away, back) + at(away, away)
    } else {
        at(back, 0) + at(away, 0) + at(0, back) + at(0, away)
    };
    sum / 4.0
}
