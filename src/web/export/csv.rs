//! Comma-separated values as RFC 4180 has them, safe to open in a spreadsheet.
//!
//! A cell that a spreadsheet would take for a formula gets an apostrophe in front, which it does not show: what stands in
//! the history was written by whoever may create a pod.

use std::io::{self, Write};

/// What a formula begins with, or what is skipped before one.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// One line. Cells are UTF-8; the line ends in CR LF.
///
/// # Errors
/// `out` cannot be written.
pub fn write_row<T: AsRef<str>>(out: &mut impl Write, cells: impl IntoIterator<Item = T>) -> io::Result<()> {
    for (at, cell) in cells.into_iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        write_cell(out, cell.as_ref())?;
    }
    out.write_all(b"\r\n")
}

fn write_cell(out: &mut impl Write, cell: &str) -> io::Result<()> {
    let mark = if cell.starts_with(FORMULA) { "'" } else { "" };
    if cell.contains([',', '"', '\r', '\n']) {
        return write!(out, "\"{mark}{}\"", cell.replace('"', "\"\""));
    }
    write!(out, "{mark}{cell}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(cells: &[&str]) -> String {
        let mut out = Vec::new();
        write_row(&mut out, cells).expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    /// The cells of one line, as RFC 4180 reads them.
    fn read(line: &str) -> Vec<String> {
        let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        let line = line.strip_suffix("\r\n").expect("a line end");
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                letter => cell.push(letter),
            }
        }
        cells.push(cell);
        cells
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(row(&["a", "", "b c", "1"]), "a,,b c,1\r\n");
        assert_eq!(row(&["a,b", "say \"x\"", "two\nlines"]), "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\r\n");
    }

    #[test]
    fn what_begins_like_a_formula_is_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=HYPERLINK(\"http://x\",\"y\")"] {
            let cells = read(&row(&["a", formula]));
            assert_eq!(cells[1], format!("'{formula}"), "{formula:?}");
        }
        assert_eq!(row(&["a=b", "1-2", "'quoted"]), "a=b,1-2,'quoted\r\n");
    }

    proptest! {
        #[test]
        fn every_row_is_read_as_it_was_written(cells in prop::collection::vec(any::<String>(), 1..5)) {
            let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
            let read = read(&row(&texts));
            prop_assert_eq!(read.len(), cells.len());
            for (read, cell) in read.iter().zip(&cells) {
                prop_assert!(read == cell || read.strip_prefix('\'') == Some(cell));
                prop_assert!(!read.starts_with(FORMULA));
            }
        }
    }
}
