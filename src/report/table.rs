//! Tables as text.

use std::fmt::{self, Write};

/// Writes rows of cells, the first of them the head: columns as wide as their widest cell, the first `left` of them aligned
/// to the left, the others, numbers, to the right.
pub(crate) fn write_table(
    text: &mut String,
    rows: &[impl AsRef<[String]>],
    left: usize,
) -> fmt::Result {
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let width = |column: usize| {
        rows.iter().map(|row| row.as_ref()[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows.iter().map(AsRef::as_ref) {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths.iter().copied()).enumerate() {
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
