//! `awk`: the language of POSIX.

mod builtins;
mod expressions;
mod fields;
mod functions;
mod interpreter;
mod lexer;
mod parser;
mod records;
mod streams;
mod syntax;
mod value;

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::escapes::{Style, decode};
use crate::options::Spec;

pub fn awk(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "F:v:f:",
        long: &[("field-separator", 'F'), ("assign", 'v'), ("file", 'f')],
        operands_last: true,
    };
    let given = SPEC.parse(context.args)?;
    let mut source = Vec::new();
    let mut operands = given.operands.clone();
    for (letter, value) in &given.options {
        if let ('f', Some(file)) = (letter, value) {
            let text = context.read(file);
            source.extend(
                text.map_err(|error| Failure::usage(format!("cannot open {} ({})", show(file), reason(&error))))?,
            );
            source.push(b'\n');
        }
    }
    if !given.has('f') {
        if operands.is_empty() {
            return Err(Failure::usage("usage: awk [-F fs][-v var=value][prog | -f progfile][file ...]"));
        }
        source = operands.remove(0);
    }
    let program = parser::parse(&source).map_err(|problem| {
        Failure::usage(format!("syntax error at source line {}: {}", problem.line, problem.message))
    })?;
    let mut interpreter = interpreter::Interpreter::new(&program, context, &operands);
    if let Some(separator) = given.value('F') {
        let separator = if separator == b"t" { b"\t".to_vec() } else { decode(separator, Style::DollarQuote).bytes };
        interpreter.set_global(syntax::FS, value::Value::text(&separator));
    }
    for (letter, value) in &given.options {
        if let ('v', Some(text)) = (letter, value)
            && !interpreter.assign_operand(text)
        {
            return Err(Failure::usage(format!("invalid -v argument: {}", show(text))));
        }
    }
    interpreter.run()
}
