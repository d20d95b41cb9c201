//! Rows as lines, their columns under each other.

/// Two spaces between columns, and none at the end of a line.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_longest() {
        let rows = [["ä", "b", ""], ["cc", "", "d"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "ä   b\ncc     d\n");
    }
}
