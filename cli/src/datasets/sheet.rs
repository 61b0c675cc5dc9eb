//! CSV files with a header.

use std::path::{Path, PathBuf};

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use super::listing::printable;
use super::text::{line_of, read, wrong, wrong_at};
use crate::failure::{Failure, Result};

const LIMIT: u64 = 512 << 20;

/// A CSV file with a header and rows of as many fields.
pub(super) struct Sheet {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<(i64, StringRecord)>,
}

impl Sheet {
    /// Reads a file.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let text = read(path, LIMIT)?;
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| describe(path, &text, &error))?;
        let header = header.iter().map(str::to_lowercase).collect();
        let mut rows = Vec::new();
        // Lines up to that byte, so that none is counted twice.
        let (mut line, mut counted) = (1, 0);
        for row in reader.into_records() {
            let row = row.map_err(|error| describe(path, &text, &error))?;
            let start = start(&text, row.position());
            line += line_of(&text.as_bytes()[counted..], start - counted) as i64 - 1;
            counted = start;
            rows.push((line, row));
        }
        if rows.is_empty() {
            return Err(wrong(path, "it has no rows"));
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }

    /// The column with the first of these headers that there is; case does not count.
    pub(super) fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.header.iter().position(|header| header == name))
    }

    /// A column that must be there; `what` is in it.
    pub(super) fn needed(&self, what: &str, names: &[&str]) -> Result<usize> {
        self.column(names).ok_or_else(|| self.lacks(what, names))
    }

    /// An error about columns.
    pub(super) fn lacks(&self, what: &str, names: &[&str]) -> Failure {
        let (expected, found) = (names.join(" or "), printable(&self.header.join(",")));
        wrong(&self.path, format!("no column for {what}, expected {expected}, found {found}"))
    }

    /// The rows with the line in which each starts.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, fields)| Row { sheet: self, line: *line, fields })
    }
}

/// A row of a sheet.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    sheet: &'a Sheet,
    pub(super) line: i64,
    fields: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// A field that is not empty.
    pub(super) fn text(self, column: usize) -> Result<&'a str> {
        match self.field(column) {
            "" => Err(self.wrong(format!("`{}` is empty", self.sheet.header[column]))),
            text => Ok(text),
        }
    }

    /// A number; not a finite one only if it is written like that.
    pub(super) fn number(self, column: usize) -> Result<f64> {
        let text = self.field(column);
        text.parse().map_err(|_| {
            let (name, text) = (&self.sheet.header[column], printable(text));
            self.wrong(format!("`{name}` is `{text}`, expected a number"))
        })
    }

    /// An error about the row.
    pub(super) fn wrong(self, what: String) -> Failure {
        wrong_at(&self.sheet.path, "line", self.line, what)
    }

    /// A field, which may be empty.
    pub(super) fn field(self, column: usize) -> &'a str {
        self.fields.get(column).unwrap_or_default()
    }
}

/// The first byte of a record. The reader's own count of lines leaves out the end of the line
/// before and empty lines.
fn start(text: &str, position: Option<&Position>) -> usize {
    let at = position.map_or(0, Position::byte) as usize;
    let rest = text.get(at..).unwrap_or_default();
    text.len().min(at) + rest.len() - rest.trim_start_matches(['\r', '\n']).len()
}

fn describe(path: &Path, text: &str, error: &csv::Error) -> Failure {
    if let ErrorKind::UnequalLengths { expected_len, len, pos } = error.kind() {
        let line = line_of(text.as_bytes(), start(text, pos.as_ref()));
        let what = format!("found {len} fields, expected {expected_len} as in the header");
        return wrong_at(path, "line", line, what);
    }
    wrong(path, printable(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::support::Place;
    use super::*;

    fn open(text: &str) -> Result<Sheet, String> {
        let place = Place::new();
        place.write("a.csv", text);
        let sheet = Sheet::open(&place.path("a.csv"));
        sheet.map_err(|failure| place.abridged(&failure.to_string()))
    }

    #[test]
    fn fields_are_found_by_header() {
        let sheet = open("\u{feff}File, X0\r\n\"a, b\",  1.5\r\n\r\nc,nan\r\n").expect("a sheet");
        let (file, x0) = (sheet.column(&["image", "file"]), sheet.column(&["x0"]));
        let (file, x0) = (file.expect("it is there"), x0.expect("it is there"));
        let rows: Vec<_> = sheet.rows().collect();
        assert_eq!((rows[0].line, rows[1].line, rows.len()), (2, 4, 2));
        assert_eq!(rows[0].text(file).expect("a text"), "a, b");
        assert_eq!(rows[0].number(x0).expect("a number"), 1.5);
        assert!(rows[1].number(x0).expect("written so").is_nan());
    }

    #[test]
    fn what_is_wrong_with_a_sheet_is_said() {
        let refused = |text| open(text).err().expect("it is refused");
        assert_eq!(refused(""), "`@/a.csv`: it has no rows");
        assert_eq!(refused("a,b\n"), "`@/a.csv`: it has no rows");
        let expected = "`@/a.csv`, line 3: found 1 fields, expected 2 as in the header";
        assert_eq!(refused("a,b\n1,2\n3"), expected);
        let sheet = open("a,b\n,x").expect("a sheet");
        let row = sheet.rows().next().expect("a row");
        let said =
            |failure: Failure| failure.to_string().replace(&*sheet.path.to_string_lossy(), "@");
        assert_eq!(said(row.text(0).expect_err("empty")), "`@`, line 2: `a` is empty");
        let expected = "`@`, line 2: `b` is `x`, expected a number";
        assert_eq!(said(row.number(1).expect_err("no number")), expected);
        let expected = "`@`: no column for the class, expected c or d, found a,b";
        assert_eq!(said(sheet.needed("the class", &["c", "d"]).expect_err("it lacks")), expected);
    }
}
