//! Maps for the terminal.

use std::fmt::{self, Write};

use ndarray::ArrayD;

use crate::grid::Grid;

/// The most cells that a sketch is wide and high.
const SIDE: usize = 28;

/// Draws an image's map: a digit per cell says how large it is in ninths of the largest, with its sign. Channels are added up,
/// and, in large images, neighbouring pixels. Nothing for what is no image.
pub(super) fn write_sketch(text: &mut String, map: &ArrayD<f64>) -> fmt::Result {
    let grid = Grid::new(map.shape());
    if grid.rows < 2 || grid.columns < 2 {
        return Ok(());
    }
    let values: Vec<f64> = map.iter().copied().collect();
    let step = grid.rows.max(grid.columns).div_ceil(SIDE);
    let (rows, columns) = (grid.rows.div_ceil(step), grid.columns.div_ceil(step));
    let mut cells = vec![0.0; rows * columns];
    for (row, column) in grid.whole().cells() {
        let sum: f64 = (0..grid.channels).map(|k| values[grid.feature(row, column, k)]).sum();
        cells[row / step * columns + column / step] += sum;
    }
    let largest = cells.iter().fold(0.0, |most: f64, cell| most.max(cell.abs()));
    for line in cells.chunks_exact(columns) {
        text.push_str("   ");
        for cell in line {
            let ninths = if largest > 0.0 { (9.0 * cell / largest).round() as i32 } else { 0 };
            match ninths {
                0 => text.push_str("  ."),
                ninths => write!(text, " {ninths:+}")?,
            }
        }
        writeln!(text)?;
    }
    Ok(())
}
