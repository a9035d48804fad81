//! Tables with the widths of Docker's: columns at least 10 wide, 3 spaces between them, no lines.

use std::io::{self, Write};

const MINIMUM_WIDTH: usize = 10;
const GAP: usize = 3;

/// Rows below a header. Every row has as many cells as the header.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(str::to_owned).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let longest = self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            (longest + GAP).max(MINIMUM_WIDTH)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let line: String = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The first `length` characters, the last of them `…` if anything was cut.
pub(crate) fn ellipsis(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

/// What images say about themselves must neither break the table nor talk to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn columns_are_as_wide_as_dockers() {
        let mut table = Table::new(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        table.row(["hello-world", "latest", "6abb50a2e5cc", "47 seconds ago", "13.3kB"].map(str::to_owned));
        assert_eq!(
            lines(&table),
            "REPOSITORY    TAG       IMAGE ID       CREATED          SIZE\n\
             hello-world   latest    6abb50a2e5cc   47 seconds ago   13.3kB\n"
        );
    }

    #[test]
    fn an_empty_table_has_its_header() {
        let table = Table::new(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        assert_eq!(lines(&table), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    }

    #[test]
    fn cells_cannot_break_the_table() {
        let mut table = Table::new(["A", "B"]);
        table.row(["x\ny\x1b[31m".to_owned(), "…".to_owned()]);
        assert_eq!(lines(&table), "A          B\nx y [31m   …\n");
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        let text = "/bin/sh -c #(nop) ADD file:277ca2e4013da55b0abc in / ";
        assert_eq!(ellipsis(text, 45), "/bin/sh -c #(nop) ADD file:277ca2e4013da55b0…");
        assert_eq!(ellipsis("short", 45), "short");
        assert_eq!(ellipsis("ééé", 2), "é…");
    }
}
