//! Text in columns.

use std::fmt;

/// Rows of cells under headings; a heading that starts with `>` is of numbers.
pub(crate) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    indent: usize,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let headings = headings.into_iter().map(Into::into).collect();
        Self { headings, rows: Vec::new(), indent: 0 }
    }

    /// The same, that many blanks from the left.
    pub(crate) fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// Appends a row, a cell for each heading.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// The headings, and for each whether it is of numbers.
    pub(crate) fn headings(&self) -> impl Iterator<Item = (&str, bool)> {
        self.headings.iter().map(|heading| match heading.strip_prefix('>') {
            Some(name) => (name, true),
            None => (heading.as_str(), false),
        })
    }

    /// The cells below the headings.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// The table in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let names = self.headings().map(|(name, _)| escaped(name)).collect();
        let marks = self.headings().map(|(_, right)| if right { "---:" } else { "---" }.to_owned());
        let rows = self.rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect());
        [names, marks.collect()].into_iter().chain(rows).map(line).collect()
    }
}

/// A cell as Markdown shows it.
pub(crate) fn escaped(cell: &str) -> String {
    let mut text = String::new();
    for character in cell.chars() {
        match character {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '#' => {
                text.extend(['\\', character]);
            }
            '\n' | '\r' => text.push(' '),
            character => text.push(character),
        }
    }
    text
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.headings().map(|(name, _)| name.to_owned()).collect();
        let length = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..names.len())
            .map(|i| {
                let cells = self.rows.iter().map(|row| length(&row[i]));
                cells.max().unwrap_or(0).max(length(&names[i]))
            })
            .collect();
        for row in std::iter::once(&names).chain(&self.rows) {
            let mut line = " ".repeat(self.indent);
            for (i, cell) in row.iter().enumerate() {
                let pad = " ".repeat(widths[i] - length(cell));
                let right = self.headings[i].starts_with('>');
                line += &if right { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
                line += "  ";
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with five significant digits or so, whatever its size.
pub(crate) fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{x:.4}"),
        _ => format!("{x:.3e}"),
    }
}

/// A whole number with commas between thousands.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_on_the_left_and_numbers_on_the_right() {
        let mut table = Table::new(["name", ">size"]).indented(1);
        table.row(["a".to_owned(), "10".to_owned()]);
        table.row(["long name".to_owned(), "7".to_owned()]);
        assert_eq!(table.to_string(), " name       size\n a            10\n long name     7\n");
    }

    #[test]
    fn markdown_has_its_marks_escaped() {
        let mut table = Table::new(["name", ">size"]);
        table.row(["a|b_c\nd".to_owned(), "7".to_owned()]);
        assert_eq!(table.markdown(), "| name | size |\n| --- | ---: |\n| a\\|b\\_c d | 7 |\n");
    }

    #[test]
    fn numbers_of_any_size_can_be_read() {
        assert_eq!([0.0, -0.5, 1e9, 2e-7].map(number), ["0", "-0.5000", "1.000e9", "2.000e-7"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
