//! Comma-separated values as RFC 4180 has them, safe to open in a spreadsheet.
//!
//! What a spreadsheet would take for a formula gets an apostrophe in front, which it does not show: what stands in the
//! history was written by whoever may create a pod. Some spreadsheets split at semicolons or tabs instead of commas, and
//! heed no quotation mark within a cell: so what would then begin a cell gets one too.

use std::borrow::Cow;
use std::io::{self, Write};

/// What a formula begins with; the last four where letters are as wide as Chinese ones.
const SIGNS: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// What is skipped before one.
const SKIPPED: [char; 3] = ['\t', '\r', '\n'];

/// Instead of a NUL, at which many readers stop.
const NO_NUL: &str = "\u{fffd}";

/// What cells and lines end with, by whatever convention.
const SEPARATORS: [char; 5] = [',', ';', '\t', '\r', '\n'];

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
    let cell = marked(cell).replace('\0', NO_NUL);
    if cell.contains([',', '"', '\r', '\n']) {
        return write!(out, "\"{}\"", cell.replace('"', "\"\""));
    }
    out.write_all(cell.as_bytes())
}

/// With an apostrophe before each formula that it may be taken for.
fn marked(cell: &str) -> Cow<'_, str> {
    if !cell.starts_with(SKIPPED) && !cell.contains(SIGNS) {
        return Cow::Borrowed(cell);
    }
    let mut text = String::with_capacity(cell.len() + 1);
    if cell.starts_with(SKIPPED) {
        text.push('\'');
    }
    let mut may_begin = true;
    for letter in cell.chars() {
        if may_begin && SIGNS.contains(&letter) {
            text.push('\'');
        }
        // A space at its beginning some leave out, and a quotation mark is not part of what a cell says.
        let is_skipped = letter == ' ' || (letter == '"' && !text.is_empty());
        may_begin = SEPARATORS.contains(&letter) || (may_begin && is_skipped);
        text.push(letter);
    }
    Cow::Owned(text)
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
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "=HYPERLINK(\"http://x\",\"y\")"] {
            let cells = read(&row(&["a", formula]));
            assert_eq!(cells[1], format!("'{formula}"), "{formula:?}");
        }
        assert_eq!(row(&["a=b", "1-2", "'quoted"]), "a=b,1-2,'quoted\r\n");
    }

    #[test]
    fn what_another_separator_would_make_a_formula_is_text() {
        for (cell, safe) in [
            ("a;=1+1", "a;'=1+1"),
            ("a\t@x", "a\t'@x"),
            ("a,-1", "a,'-1"),
            ("a\r\n+1", "a\r\n'+1"),
            ("a;\"=1\"", "a;\"'=1\""),
            ("\t=1", "'\t'=1"),
            ("=1;=2", "'=1;'=2"),
            (" =1", " '=1"),
            ("a; +1", "a; '+1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("a\0b", "a\u{fffd}b"),
        ] {
            assert_eq!(read(&row(&[cell]))[0], safe);
        }
        assert_eq!(row(&["a; b", "x;y=1", "images: deny; gate: allow"]), "a; b,x;y=1,images: deny; gate: allow\r\n");
    }

    proptest! {
        #[test]
        fn every_row_is_read_as_it_was_written(cells in prop::collection::vec(any::<String>(), 1..5)) {
            let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
            let read = read(&row(&texts));
            prop_assert_eq!(read.len(), cells.len());
            for (read, cell) in read.iter().zip(&cells) {
                prop_assert_eq!(read.replace('\'', ""), cell.replace('\'', "").replace('\0', NO_NUL));
                prop_assert!(!read.starts_with(SIGNS) && !read.starts_with(SKIPPED));
                for part in read.split(SEPARATORS) {
                    prop_assert!(!part.starts_with(SIGNS), "{:?}", read);
                }
            }
        }
    }
}
