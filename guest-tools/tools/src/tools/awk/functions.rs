//! Text functions, formats, and which parameters are arrays.

use super::syntax::*;
use super::value::Value;
use crate::printf::format_all;
use crate::regex::Regex;

/// `sprintf`.
pub(super) fn format(format: &[u8], args: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut args = args.iter();
    let mut rest = format;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if rest.get(1) == Some(&b'%') {
            out.push(b'%');
            rest = &rest[2..];
            continue;
        }
        let mut spec = vec![b'%'];
        let mut length = 1;
        while let Some(&byte) = rest.get(length).filter(|byte| b"-+ #0123456789.*".contains(byte)) {
            length += 1;
            match byte {
                b'*' => spec.extend((args.next().map_or(0.0, Value::number) as i64).to_string().into_bytes()),
                _ => spec.push(byte),
            }
        }
        while matches!(rest.get(length), Some(b'l' | b'h' | b'L' | b'q')) {
            length += 1;
        }
        let Some(&conversion) = rest.get(length) else {
            out.extend_from_slice(rest);
            return out;
        };
        rest = &rest[length + 1..];
        let value = args.next().cloned().unwrap_or_default();
        spec.push(if conversion == b'c' { b's' } else { conversion });
        let text: Vec<u8> = match conversion {
            b'd' | b'i' | b'o' | b'x' | b'X' | b'u' => (value.number() as i64).to_string().into_bytes(),
            b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => value.number().to_string().into_bytes(),
            b'c' => match &value {
                Value::Number(number) => {
                    let character = char::from_u32(*number as u32).unwrap_or('\u{fffd}');
                    character.to_string().into_bytes()
                }
                other => {
                    let text = other.bytes(b"%.6g");
                    let first = String::from_utf8_lossy(&text).chars().next();
                    first.map(|character| character.to_string().into_bytes()).unwrap_or_default()
                }
            },
            b's' => value.bytes(b"%.6g").to_vec(),
            _ => {
                out.extend_from_slice(&spec);
                continue;
            }
        };
        out.extend(format_all(&spec, &[text]).out);
    }
    out.extend_from_slice(rest);
    out
}

/// The text with matches replaced, and how many there were. `which` 0 replaces all of them.
pub(super) fn substitute(
    regex: &Regex,
    replacement: &[u8],
    text: &[u8],
    which: usize,
    groups: bool,
) -> Option<(Vec<u8>, u64)> {
    let mut out = Vec::with_capacity(text.len());
    let (mut from, mut copied) = (0, 0);
    let (mut seen, mut count) = (0, 0);
    let mut previous_end = None;
    while from <= text.len() {
        let Some(captures) = (if groups { regex.find_at(text, from) } else { regex.find_whole(text, from) }).ok()?
        else {
            break;
        };
        let (start, end) = captures.whole();
        if start == end && previous_end == Some(start) {
            from = end + 1;
            continue;
        }
        previous_end = Some(end);
        seen += 1;
        if which == 0 || seen == which {
            out.extend_from_slice(&text[copied..start]);
            let mut bytes = replacement.iter();
            while let Some(&byte) = bytes.next() {
                match (byte, bytes.as_slice().first()) {
                    (b'&', _) => out.extend_from_slice(&text[start..end]),
                    (b'\\', Some(&digit @ b'0'..=b'9')) if groups => {
                        bytes.next();
                        if let Some((start, end)) = captures.get(usize::from(digit - b'0')) {
                            out.extend_from_slice(&text[start..end]);
                        }
                    }
                    (b'\\', Some(&next @ (b'&' | b'\\'))) => {
                        bytes.next();
                        out.push(next);
                    }
                    _ => out.push(byte),
                }
            }
            copied = end;
            count += 1;
            if which != 0 {
                break;
            }
        }
        from = if end > start { end } else { end + 1 };
    }
    out.extend_from_slice(&text[copied.min(text.len())..]);
    Some((out, count))
}

/// The part of a text from a character and of a length, both rounded, as `substr` takes it.
pub(super) fn substring(text: &[u8], start: f64, length: Option<f64>) -> Vec<u8> {
    let whole = String::from_utf8_lossy(text);
    let count = whole.chars().count() as f64;
    let start = start.round_ties_even();
    let end = length.map_or(f64::INFINITY, |length| start + length.round_ties_even());
    let first = start.max(1.0);
    let last = end.min(count + 1.0);
    if last.is_nan() || first.is_nan() || last <= first {
        return Vec::new();
    }
    let (skip, take) = (first as usize - 1, (last - first) as usize);
    if whole.len() == text.len() && whole.is_ascii() {
        return text[skip..skip + take].to_vec();
    }
    whole.chars().skip(skip).take(take).collect::<String>().into_bytes()
}

/// Marks the parameters that are used as arrays, also by the functions that they are handed on to.
pub(super) fn find_arrays(program: &mut Program) {
    loop {
        let known: Vec<(String, Vec<bool>)> =
            program.functions.iter().map(|function| (function.name.clone(), function.arrays.clone())).collect();
        let mut changed = false;
        for function in &mut program.functions {
            let mut finder = Finder { names: Vec::new(), known: &known };
            finder.statements(&function.body);
            for (parameter, is_array) in function.parameters.iter().zip(&mut function.arrays) {
                if !*is_array && finder.names.contains(parameter) {
                    *is_array = true;
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

struct Finder<'a> {
    names: Vec<Name>,
    known: &'a [(String, Vec<bool>)],
}

impl Finder<'_> {
    fn statements(&mut self, statements: &[Statement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Expr(expr) => self.expr(expr),
            Statement::Print(args, target) | Statement::Printf(args, target) => {
                args.iter().for_each(|arg| self.expr(arg));
                if let Some((_, target)) = target {
                    self.expr(target);
                }
            }
            Statement::If(condition, then, otherwise) => {
                self.expr(condition);
                self.statements(then);
                self.statements(otherwise);
            }
            Statement::While(condition, body) | Statement::DoWhile(body, condition) => {
                self.expr(condition);
                self.statements(body);
            }
            Statement::For(first, condition, step, body) => {
                first.iter().chain(step).for_each(|statement| self.statement(statement));
                condition.iter().for_each(|expr| self.expr(expr));
                self.statements(body);
            }
            Statement::ForIn(_, array, body) => {
                self.names.push(*array);
                self.statements(body);
            }
            Statement::Block(body) => self.statements(body),
            Statement::Exit(value) | Statement::Return(value) => value.iter().for_each(|expr| self.expr(expr)),
            Statement::Delete(array, index) => {
                self.names.push(*array);
                index.iter().flatten().for_each(|expr| self.expr(expr));
            }
            Statement::Break | Statement::Continue | Statement::Next | Statement::NextFile => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Number(_) | Expr::Text(_) | Expr::Regex(_) | Expr::Variable(_) => {}
            Expr::Field(inner) | Expr::Not(inner) | Expr::Negate(inner) | Expr::Plus(inner) => self.expr(inner),
            Expr::Index(array, keys) | Expr::In(keys, array) => {
                self.names.push(*array);
                keys.iter().for_each(|key| self.expr(key));
            }
            Expr::Assign(_, left, right)
            | Expr::And(left, right)
            | Expr::Or(left, right)
            | Expr::Compare(_, left, right)
            | Expr::Binary(_, left, right)
            | Expr::Concat(left, right)
            | Expr::Match { text: left, pattern: right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            Expr::Condition(condition, yes, no) => [condition, yes, no].into_iter().for_each(|expr| self.expr(expr)),
            Expr::Step { target, .. } => self.expr(target),
            Expr::Call(name, args) => {
                let arrays = self.known.iter().find(|(known, _)| known == name).map(|(_, arrays)| arrays.clone());
                for (index, arg) in args.iter().enumerate() {
                    if let (Expr::Variable(name), Some(true)) =
                        (arg, arrays.as_ref().and_then(|arrays| arrays.get(index)))
                    {
                        self.names.push(*name);
                    }
                    self.expr(arg);
                }
            }
            Expr::Builtin(builtin, args) => {
                if let ("split", Some(Expr::Variable(name))) = (*builtin, args.get(1)) {
                    self.names.push(*name);
                }
                args.iter().for_each(|arg| self.expr(arg));
            }
            Expr::Group(list) => list.iter().for_each(|expr| self.expr(expr)),
            Expr::Getline { source, target } => {
                if let Source::File(inner) | Source::Command(inner) = source {
                    self.expr(inner);
                }
                target.iter().for_each(|target| self.expr(target));
            }
        }
    }
}
