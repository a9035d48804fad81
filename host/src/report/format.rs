//! What `--format` asks for, of any list: a table, a table of chosen columns, JSON, or a Go template for each row.
//!
//! A command describes its list once, as [`Columns`], hands over its rows as values that serialise to objects with
//! Docker's field names, and gets all forms. What is not a list (`inspect`, `info`) goes through [`Format::write_one`].

use std::io::Write;
use std::str::FromStr;

use kiln_template::{Template, Types};
use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;
use super::table::{Table, printable};

/// Fields that are methods of Docker's lists: `{{.Label "key"}}`. JSON leaves them out, as it does there.
const METHODS: [&str; 1] = ["Label"];

/// What a list shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// What one row is called in errors.
    pub(crate) row: &'static str,
    /// The template of the table that is shown if nobody asks for another: `{{.ID}}\t{{.Size}}`.
    pub(crate) table: &'static str,
    /// Each field that rows have and templates may use, with the header of its column.
    pub(crate) headers: &'static [(&'static str, &'static str)],
    /// Fields that are maps with any keys: one that is missing is no error.
    pub(crate) maps: &'static [&'static str],
}

#[derive(Debug, Clone, Default)]
pub(crate) enum Format {
    /// The usual table.
    #[default]
    Table,
    /// `table TEMPLATE`
    Chosen(Custom),
    /// An object for each row.
    Json,
    /// A template for each row.
    Lines(Custom),
}

/// A template as the user wrote it.
#[derive(Debug, Clone)]
pub(crate) struct Custom {
    text: String,
    template: Template,
}

impl Custom {
    fn parse(text: &str) -> Result<Self, kiln_template::Error> {
        let text = unescaped(text.trim_matches(' '));
        let template = Template::parse(&text)?;
        Ok(Self { text, template })
    }
}

/// With tabs and new lines for `\t` and `\n`, outside of actions: inside they may stand in texts.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let length = rest[start..].find("}}").map_or(rest.len() - start, |end| end + 2);
        out += &rest[..start].replace("\\t", "\t").replace("\\n", "\n");
        out += &rest[start..start + length];
        rest = &rest[start + length..];
    }
    out + &rest.replace("\\t", "\t").replace("\\n", "\n")
}

impl FromStr for Format {
    type Err = kiln_template::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("table") {
            _ if text == "json" => Ok(Self::Json),
            Some("") => Ok(Self::Table),
            // Docker asks for no space behind the word.
            Some(template) => Custom::parse(template).map(Self::Chosen),
            None => Custom::parse(text).map(Self::Lines),
        }
    }
}

impl Format {
    /// Whether a template shows that field by itself.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        match self {
            Self::Table | Self::Json => false,
            Self::Chosen(custom) | Self::Lines(custom) => custom.text.contains(&format!(".{field}")),
        }
    }

    /// Only the ids, unless something else was asked for.
    pub(crate) fn ids_only(self) -> Self {
        match self {
            Self::Table => Self::Lines(Custom::parse("{{.ID}}").expect("a template")),
            other => other,
        }
    }

    /// A table that has that column last unless it has it already.
    pub(crate) fn with_column(self, field: &str) -> Self {
        if self.mentions(field) {
            return self;
        }
        match self {
            Self::Chosen(custom) => {
                let text = format!("{}\t{{{{.{field}}}}}", custom.text);
                match Custom::parse(&text) {
                    Ok(custom) => Self::Chosen(custom),
                    // Whoever defines templates in it chooses the columns as well.
                    Err(_) => Self::Chosen(custom),
                }
            }
            other => other,
        }
    }

    /// Writes a list.
    pub(crate) fn write<R: Serialize>(
        &self,
        columns: &Columns,
        rows: impl IntoIterator<Item = R>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let types = Types { name: columns.row, maps: columns.maps, lists: &[], methods: &METHODS };
        let usual;
        let template = match self {
            Self::Json => {
                for row in rows {
                    let mut row = serde_json::to_value(row)?;
                    if let Value::Object(fields) = &mut row {
                        fields.retain(|name, _| !METHODS.contains(&name.as_str()));
                    }
                    writeln!(out, "{row}")?;
                }
                return Ok(());
            }
            Self::Lines(custom) => {
                for row in rows {
                    writeln!(out, "{}", render(&custom.template, &serde_json::to_value(row)?, &types)?)?;
                }
                return Ok(());
            }
            Self::Chosen(custom) => &custom.template,
            Self::Table => {
                usual = Template::parse(columns.table)?;
                &usual
            }
        };
        let headers = columns.headers.iter().map(|&(field, header)| (field.to_owned(), Value::from(header))).collect();
        let mut table = Table::new(&template.header(&Value::Object(headers)));
        for row in rows {
            let mut row = serde_json::to_value(row)?;
            make_printable(&mut row);
            table.row(&render(template, &row, &types)?);
        }
        Ok(table.write(out)?)
    }

    /// Writes one value that is no list. Without a template it is JSON in one line: a command that shows something else
    /// by itself does so before.
    pub(crate) fn write_one(&self, value: &Value, types: &Types, out: &mut impl Write) -> anyhow::Result<()> {
        match self {
            Self::Table | Self::Json => writeln!(out, "{value}")?,
            Self::Chosen(custom) | Self::Lines(custom) => {
                writeln!(out, "{}", render(&custom.template, value, types)?)?;
            }
        }
        Ok(())
    }
}

/// What a template makes of one value; a wrong field is answered with the right ones.
fn render(template: &Template, value: &Value, types: &Types) -> Result<String, Failure> {
    template.render(value, types).map_err(|error| {
        let failure = Failure::new(format!("template parsing error: {error}"));
        let wanted = wanted_field(&error);
        let fields = error.fields().iter().map(String::as_str);
        match wanted.and_then(|wanted| kiln_dockerfile::closest(wanted, fields)) {
            Some(close) => failure.hint(format!("did you mean .{close}?")),
            None if error.fields().is_empty() => failure,
            None => {
                let fields: Vec<String> = error.fields().iter().map(|field| format!(".{field}")).collect();
                failure.hint(format!("there are {}", fields.join(", ")))
            }
        }
    })
}

fn wanted_field(error: &kiln_template::Error) -> Option<&str> {
    let kiln_template::Error::Execution { reason, .. } = error else { return None };
    reason.strip_prefix("can't evaluate field ")?.split(' ').next()
}

/// In all texts of a row: what would break its table.
fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.contains(char::is_control) {
                *text = printable(text);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(make_printable),
        Value::Object(map) => map.values_mut().for_each(make_printable),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: Columns = Columns {
        row: "image",
        table: "{{.Repository}}\t{{.ID}}",
        headers: &[("ID", "IMAGE ID"), ("Repository", "REPOSITORY"), ("Labels", "LABELS")],
        maps: &["Labels"],
    };

    fn written(format: &str) -> String {
        let rows = [
            json!({ "ID": "2fb6fc2d97e1", "Repository": "busybox", "Labels": { "a": "b" } }),
            json!({ "ID": "5d0da3dc9764", "Repository": "www.codemachine.in/busy\tbox", "Labels": {} }),
        ];
        let mut out = Vec::new();
        let format: Format = format.parse().expect(format);
        match format.write(&COLUMNS, &rows, &mut out) {
            Ok(()) => String::from_utf8(out).expect("UTF-8"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn all_forms() {
        for (format, expected) in [
            ("{{.ID}}: {{.Repository}}", "2fb6fc2d97e1: busybox\n5d0da3dc9764: www.codemachine.in/busy\tbox\n"),
            (
                "table",
                "REPOSITORY                    IMAGE ID\nbusybox                       2fb6fc2d97e1\n\
                 www.codemachine.in/busy box   5d0da3dc9764\n",
            ),
            (
                "table {{.ID}}\\t{{.Repository}}",
                "IMAGE ID       REPOSITORY\n2fb6fc2d97e1   busybox\n5d0da3dc9764   www.codemachine.in/busy box\n",
            ),
            ("table {{upper .ID}}", "IMAGE ID\n2FB6FC2D97E1\n5D0DA3DC9764\n"),
            ("table {{json .ID}}\\t{{.Labels.a}}", "IMAGE ID\n\"2fb6fc2d97e1\"   b\n\"5d0da3dc9764\"   <no value>\n"),
            ("{{print \"\\t\" `\\t`}}\\t", "\t\\t\t\n\t\\t\t\n"),
            ("{{.ID}}\\n-", "2fb6fc2d97e1\n-\n5d0da3dc9764\n-\n"),
            (
                "json",
                "{\"ID\":\"2fb6fc2d97e1\",\"Labels\":{\"a\":\"b\"},\"Repository\":\"busybox\"}\n\
                 {\"ID\":\"5d0da3dc9764\",\"Labels\":{},\"Repository\":\"www.codemachine.in/busy\\tbox\"}\n",
            ),
            (
                "{{.Repo}}",
                "template parsing error: template: :1:2: executing \"\" at <.Repo>: can't evaluate field Repo in type image",
            ),
        ] {
            assert_eq!(written(format), expected, "{format}");
        }
        assert!("{{".parse::<Format>().is_err());
    }

    #[test]
    fn a_column_is_added_once() {
        for (format, expected) in [("table {{.Repository}}", "table"), ("table {{.Repository}}\\t{{.ID}}", "table")] {
            let Format::Chosen(custom) = format.parse::<Format>().expect(expected).with_column("ID") else {
                panic!("no table")
            };
            assert_eq!(custom.text, "{{.Repository}}\t{{.ID}}");
        }
    }
}
