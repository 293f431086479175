//! How alike two images look.

use crate::grid::Grid;

/// The side of the window, and the standard deviation of its weights, in pixels.
const SIDE: usize = 11;
const DEVIATION: f64 = 1.5;
/// What keeps the quotients finite, in shares of the range.
const K: [f64; 2] = [0.01, 0.03];

/// The mean structural similarity (SSIM) of two images: 1 where they are the same, less the more their local means, contrasts and
/// structures differ.
///
/// `shape` is that of a sample: axes of length one do not count, two are rows and columns; of three, the channels are the last
/// if it is shorter than the first, else the first; of more, the last two are rows and columns. Channels are averaged. `range`
/// is how far white is from black. Windows are those of 11 x 11 pixels that lie wholly in the image, with normal weights
/// (standard deviation 1.5); variances are population variances. None for what is no image, or one smaller than a window, and
/// for a range that is not above 0 and finite.
///
/// Wang et al. 2004, <https://doi.org/10.1109/TIP.2003.819861>, equation 13 with K1 = 0.01 and K2 = 0.03.
///
/// # Example
/// ```
/// use ironbound::metrics::ssim;
///
/// let ramp: Vec<f32> = (0..400).map(|i| (i % 20) as f32 / 19.0).collect();
/// assert_eq!(ssim(&ramp, &ramp, &[20, 20], 1.0), Some(1.0));
/// let negative: Vec<f32> = ramp.iter().map(|x| 1.0 - x).collect();
/// assert!(ssim(&ramp, &negative, &[20, 20], 1.0).unwrap() < 0.0);
/// assert_eq!(ssim(&[0.0; 64], &[0.0; 64], &[8, 8], 1.0), None);
/// ```
#[must_use]
pub fn ssim(first: &[f32], second: &[f32], shape: &[usize], range: f64) -> Option<f64> {
    let grid = Grid::new(shape);
    let values: usize = shape.iter().product();
    let fits = [first.len(), second.len()] == [values; 2] && grid.rows.min(grid.columns) >= SIDE;
    if !fits || grid.channels == 0 || !(range.is_finite() && range > 0.0) {
        return None;
    }
    let weights = weights();
    let constants = K.map(|k| (k * range).powi(2));
    let channel = |channel: usize| {
        let plane = |of: &dyn Fn(usize) -> f64| Plane {
            columns: grid.columns,
            values: grid
                .whole()
                .cells()
                .map(|(row, column)| of(grid.feature(row, column, channel)))
                .collect(),
        };
        let (x, y) = (|at: usize| f64::from(first[at]), |at: usize| f64::from(second[at]));
        let mean = |of: &dyn Fn(usize) -> f64| plane(of).averaged(&weights);
        let moments = [
            mean(&x),
            mean(&y),
            mean(&|at| x(at) * x(at)),
            mean(&|at| y(at) * y(at)),
            mean(&|at| x(at) * y(at)),
        ];
        let at = |window: usize| similarity(moments.each_ref().map(|m| m[window]), constants);
        let windows = moments[0].len();
        (0..windows).map(at).sum::<f64>() / windows as f64
    };
    let mean = (0..grid.channels).map(channel).sum::<f64>() / grid.channels as f64;
    // Rounding must not make a copy more than equal.
    Some(mean.min(1.0))
}

/// The similarity of two windows from their first and second moments.
fn similarity([x, y, xx, yy, xy]: [f64; 5], [c1, c2]: [f64; 2]) -> f64 {
    let (variances, covariance) = (xx - x * x + (yy - y * y), xy - x * y);
    let over = (2.0 * x * y + c1) * (2.0 * covariance + c2);
    over / ((x * x + y * y + c1) * (variances + c2))
}

fn weights() -> [f64; SIDE] {
    let normal = |i: usize| (-0.5 * ((i as f64 - (SIDE / 2) as f64) / DEVIATION).powi(2)).exp();
    let weights: [f64; SIDE] = std::array::from_fn(normal);
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// A channel, row by row.
struct Plane {
    columns: usize,
    values: Vec<f64>,
}

impl Plane {
    /// The weighted mean in every window: along the rows, then along the columns.
    fn averaged(&self, weights: &[f64; SIDE]) -> Vec<f64> {
        let columns = self.columns + 1 - SIDE;
        let dot = |window: &[f64]| window.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
        let rows = self.values.chunks_exact(self.columns);
        let along: Vec<f64> = rows.flat_map(|row| row.windows(SIDE).map(dot)).collect();
        let last = along.len() - (SIDE - 1) * columns;
        let down = |start: usize| {
            weights.iter().enumerate().map(|(i, w)| w * along[start + i * columns]).sum()
        };
        (0..last).map(down).collect()
    }
}
