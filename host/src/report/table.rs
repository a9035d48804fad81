//! Tables with the widths of Docker's: columns at least 10 wide, 3 spaces between them, no lines.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

const MINIMUM_WIDTH: usize = 10;
const GAP: usize = 3;

/// Lines of cells with tabs between them.
pub(crate) struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &str) -> Self {
        let mut table = Self { lines: Vec::new() };
        table.row(header);
        table
    }

    /// May be several lines.
    pub(crate) fn row(&mut self, text: &str) {
        self.lines.extend(text.split('\n').map(|line| line.split('\t').map(str::to_owned).collect()));
    }

    /// Lines that follow each other share the width of a column; the last cell of a line belongs to none.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths: Vec<Vec<usize>> = vec![Vec::new(); self.lines.len()];
        for column in 0..columns {
            let mut at = 0;
            while at < self.lines.len() {
                let has_column = |line: &Vec<String>| line.len() > column + 1;
                let length = self.lines[at..].iter().take_while(|line| has_column(line)).count();
                let block = &self.lines[at..at + length];
                let longest = block.iter().map(|line| width(&line[column])).max().unwrap_or(0);
                widths[at..at + length].iter_mut().for_each(|line| line.push((longest + GAP).max(MINIMUM_WIDTH)));
                at += length.max(1);
            }
        }
        for (line, widths) in self.lines.iter().zip(&widths) {
            let mut text = String::new();
            for (at, cell) in line.iter().enumerate() {
                text.push_str(cell);
                let missing = widths.get(at).map_or(0, |wanted| wanted.saturating_sub(width(cell)));
                text.extend(std::iter::repeat_n(' ', missing));
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// The places that a text takes on a terminal, where wide characters take two. As with Docker, every other takes one.
fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char_width).sum() }
}

fn char_width(c: char) -> usize {
    if c.width() == Some(2) { 2 } else { 1 }
}

/// As much as fits into so many places, the last of them `…` if anything was cut.
pub(crate) fn ellipsis(text: &str, places: usize) -> String {
    if width(text) <= places {
        return text.to_owned();
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += char_width(*c);
        taken < places
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// What images say about themselves must neither break the table nor talk to the terminal.
pub(crate) fn printable(text: &str) -> String {
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
        let mut table = Table::new("REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE");
        table.row("hello-world\tlatest\t6abb50a2e5cc\t47 seconds ago\t13.3kB");
        assert_eq!(
            lines(&table),
            "REPOSITORY    TAG       IMAGE ID       CREATED          SIZE\n\
             hello-world   latest    6abb50a2e5cc   47 seconds ago   13.3kB\n"
        );
    }

    #[test]
    fn an_empty_table_has_its_header() {
        let table = Table::new("REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE");
        assert_eq!(lines(&table), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
    }

    #[test]
    fn wide_characters_take_two_places() {
        let mut table = Table::new("NAME\tB");
        table.row("镜像镜像镜像\tx");
        table.row("ééééééé\ty");
        assert_eq!(lines(&table), "NAME           B\n镜像镜像镜像   x\nééééééé        y\n");
    }

    #[test]
    fn what_stands_between_columns_parts_them() {
        let mut table = Table::new("AAAAAAAAAA\tB");
        table.row("a\tb\nno column\nc\td\te");
        assert_eq!(lines(&table), "AAAAAAAAAA   B\na            b\nno column\nc         d         e\n");
    }

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        let text = "/bin/sh -c #(nop) ADD file:277ca2e4013da55b0abc in / ";
        assert_eq!(ellipsis(text, 45), "/bin/sh -c #(nop) ADD file:277ca2e4013da55b0…");
        assert_eq!(ellipsis("short", 45), "short");
        assert_eq!(ellipsis("ééé", 2), "é…");
        assert_eq!(ellipsis("镜像镜像", 6), "镜像…");
        assert_eq!(printable("x\ny\x1b[31m"), "x y [31m");
    }
}
