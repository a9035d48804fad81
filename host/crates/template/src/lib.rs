//! Go templates as `--format` takes them: text with actions, run over JSON values.
//!
//! All of Go's text/template but function values and complex numbers, with the functions that Docker adds. What JSON
//! does not say of the data, [`Types`] does: the fields of a struct must exist, the keys of a map need not.
//!
//! ```
//! use kiln_template::{Template, Types};
//! let types = Types { name: "image", maps: &["Labels"], lists: &[], methods: &[] };
//! let template = Template::parse("{{.ID}}: {{upper .Name}}{{range $k, $v := .Labels}} {{$k}}={{json $v}}{{end}}")?;
//! let row = serde_json::json!({ "ID": "2fb6fc2d97e1", "Name": "busybox", "Labels": { "a": "b" } });
//! assert_eq!(template.render(&row, &types)?, r#"2fb6fc2d97e1: BUSYBOX a="b""#);
//! # Ok::<(), kiln_template::Error>(())
//! ```
//!
//! Two things differ from Go, because texts are Unicode here: what would cut a character in two is an error (`slice`) or
//! cuts before it (`truncate`), and escapes like `\xff` become U+FFFD.
//!
//! Templates may be hostile: nesting, work and output are bounded.

mod ast;
mod error;
mod exec;
mod functions;
mod lex;
mod literal;
mod parse;
mod printf;
mod value;

use serde_json::Value;

pub use error::{Error, Result};
pub use value::Types;

use exec::Execution;
use value::{Shape, Val};

/// A template that was understood.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    templates: parse::Templates,
}

impl Template {
    /// # Errors
    /// It is no template.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { text: text.to_owned(), templates: parse::parse(text)? })
    }

    /// What the template makes of the data.
    ///
    /// # Errors
    /// It does not fit the data, or does too much.
    pub fn render(&self, data: &Value, types: &Types) -> Result<String> {
        let execution = Execution::new(&self.text, &self.templates, types, false);
        let (text, result) = execution.run(Val::of(data, Shape::Struct));
        result.map(|()| text)
    }

    /// The header of a table whose rows the template makes: each column has the name that `headers` gives to its field.
    /// As with Docker, it ends where the template does something that cannot be done with a name.
    pub fn header(&self, headers: &Value) -> String {
        const TYPES: Types = Types { name: "header", maps: &[], lists: &[], methods: &[] };
        Execution::new(&self.text, &self.templates, &TYPES, true).run(Val::of(headers, Shape::Map)).0
    }
}
