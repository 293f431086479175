//! Tables as text.

use std::fmt::{self, Write};

/// Writes rows of cells, the first of them the head: columns as wide as their widest cell, the first `left` of them aligned
/// to the left, the others, numbers, to the right.
pub(crate) fn write_table<const N: usize>(
    text: &mut String,
    rows: &[[String; N]],
    left: usize,
) -> fmt::Result {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if column < left {
                write!(line, "{cell:<width$}  ")?;
            } else {
                write!(line, "{cell:>width$}  ")?;
            }
        }
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}
