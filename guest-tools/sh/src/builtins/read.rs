//! `read` and `mapfile`.

use std::io::Read;

use kiln_tools::context::{reason, show};
use kiln_tools::options::number;

use crate::state::{Shell, Stop};
use crate::streams::Stream;
use crate::syntax::is_name;

/// A byte and whether a backslash took its meaning.
type Quoted = (u8, bool);

/// How far to read.
struct Limits {
    raw: bool,
    delimiter: u8,
    /// At most so many bytes.
    most: Option<usize>,
    /// Whether the delimiter counts too (`-n`), or only the number of bytes (`-N`).
    delimited: bool,
}

/// The letter and its value, taken from the same argument or from the next.
fn option_value(shell: &Shell, name: &str, arg: &[u8], rest: &mut &[Vec<u8>]) -> Result<Vec<u8>, Stop> {
    if !arg.is_empty() {
        return Ok(arg.to_vec());
    }
    match rest.split_first() {
        Some((value, after)) => {
            *rest = after;
            Ok(value.clone())
        }
        None => Err(shell.fail(&format!("{name}: option requires an argument"))),
    }
}

fn count(shell: &Shell, name: &str, text: &[u8]) -> Result<usize, Stop> {
    match number::<usize>(text) {
        Some(count) => Ok(count),
        None => Err(shell.fail(&format!("{name}: Illegal number: {}", show(text)))),
    }
}

pub(super) fn read(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut rest = &argv[1..];
    let mut limits = Limits { raw: false, delimiter: b'\n', most: None, delimited: true };
    let mut array = None;
    let mut descriptor = 0;
    while let Some((arg, after)) = rest.split_first().filter(|(arg, _)| arg.len() > 1 && arg[0] == b'-') {
        rest = after;
        if arg == b"--" {
            break;
        }
        for (index, letter) in arg.iter().enumerate().skip(1) {
            match letter {
                b'r' => limits.raw = true,
                // Silence and editing are for terminals.
                b's' | b'e' => {}
                b'a' | b'd' | b'i' | b'n' | b'N' | b'p' | b't' | b'u' => {
                    let value = option_value(shell, "read", &arg[index + 1..], &mut rest)?;
                    match letter {
                        b'a' => array = Some(value),
                        b'd' => limits.delimiter = value.first().copied().unwrap_or(0),
                        b'n' | b'N' => {
                            limits.most = Some(count(shell, "read", &value)?);
                            limits.delimited = *letter == b'n';
                        }
                        b'u' => descriptor = count(shell, "read", &value)? as u32,
                        // What is there to be read is there at once, so a time limit never matters.
                        _ => {}
                    }
                    break;
                }
                _ => return Err(shell.fail(&format!("read: Illegal option {}", show(arg)))),
            }
        }
    }
    if let Some(bad) = rest.iter().chain(&array).find(|name| !is_name(name)) {
        return Err(shell.fail(&format!("read: {}: bad variable name", show(bad))));
    }
    let (line, complete) = match read_line(shell, descriptor, &limits) {
        Ok(read) => read,
        Err(error) => {
            shell.complain(&format!("read: {}", reason(&error)));
            return Ok(2);
        }
    };
    let ifs = shell.value(b"IFS").unwrap_or(b" \t\n").to_vec();
    if let Some(array) = array {
        let mut values = split(&line, &ifs, usize::MAX);
        if values.last().is_some_and(Vec::is_empty) && values.len() == 1 {
            values.clear();
        }
        shell.assign_array(&array, values)?;
    } else if rest.is_empty() {
        shell.assign(b"REPLY", line.into_iter().map(|(byte, _)| byte).collect())?;
    } else if !limits.delimited {
        // `-N` takes the bytes as they are.
        let mut values = vec![line.into_iter().map(|(byte, _)| byte).collect::<Vec<u8>>()];
        values.resize(rest.len(), Vec::new());
        for (name, value) in rest.iter().zip(values) {
            shell.assign(name, value)?;
        }
    } else {
        let values = split(&line, &ifs, rest.len());
        for (index, name) in rest.iter().enumerate() {
            shell.assign(name, values.get(index).cloned().unwrap_or_default())?;
        }
    }
    Ok(u8::from(!complete))
}

/// The bytes of a stream one by one. What has been read of a file beyond them is given back at the end, so that
/// whatever follows is left to others; of anything else nothing is read ahead.
struct Bytes<'a> {
    stream: &'a Stream,
    ahead: usize,
    buffer: Vec<u8>,
    next: usize,
}

const AHEAD: usize = 1024;

impl Bytes<'_> {
    fn new(stream: &Stream) -> Bytes<'_> {
        let ahead = if stream.seek(0).is_ok() { AHEAD } else { 1 };
        Bytes { stream, ahead, buffer: Vec::new(), next: 0 }
    }

    fn next(&mut self) -> std::io::Result<Option<u8>> {
        if self.next == self.buffer.len() {
            self.buffer.resize(self.ahead, 0);
            self.next = 0;
            let mut stream = self.stream;
            let count = stream.read(&mut self.buffer);
            self.buffer.truncate(*count.as_ref().unwrap_or(&0));
            count?;
        }
        let byte = self.buffer.get(self.next).copied();
        self.next += usize::from(byte.is_some());
        Ok(byte)
    }

    fn give_back(self) -> std::io::Result<()> {
        match self.buffer.len() - self.next {
            0 => Ok(()),
            unused => self.stream.seek(-(unused as i64)),
        }
    }
}

/// A line, and whether its end came.
fn read_line(shell: &Shell, descriptor: u32, limits: &Limits) -> std::io::Result<(Vec<Quoted>, bool)> {
    let mut line = Vec::new();
    let Some(stream) = shell.streams.get(&descriptor) else {
        return if descriptor == 0 { Ok((line, false)) } else { Err(std::io::Error::other("Bad file descriptor")) };
    };
    let mut bytes = Bytes::new(stream);
    let mut escaped = false;
    let mut complete = true;
    while limits.most.is_none_or(|most| line.len() < most) {
        let Some(byte) = bytes.next()? else {
            complete = false;
            break;
        };
        match byte {
            b'\n' if escaped => escaped = false,
            delimiter if delimiter == limits.delimiter && limits.delimited && !escaped => break,
            b'\\' if !limits.raw && !escaped => escaped = true,
            0 => {}
            other => {
                line.push((other, escaped));
                escaped = false;
            }
        }
    }
    bytes.give_back()?;
    Ok((line, complete))
}

/// `mapfile` and `readarray`: the lines of standard input as elements.
pub(super) fn mapfile(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut rest = &argv[1..];
    let mut strip = false;
    let mut delimiter = b'\n';
    let (mut most, mut skipped, mut descriptor) = (usize::MAX, 0, 0);
    let mut origin = None;
    while let Some((arg, after)) = rest.split_first().filter(|(arg, _)| arg.len() > 1 && arg[0] == b'-') {
        rest = after;
        for (index, letter) in arg.iter().enumerate().skip(1) {
            if *letter == b't' {
                strip = true;
                continue;
            }
            if !b"dnOsu".contains(letter) {
                return Err(shell.fail(&format!("mapfile: Illegal option {}", show(arg))));
            }
            let value = option_value(shell, "mapfile", &arg[index + 1..], &mut rest)?;
            match letter {
                b'd' => delimiter = value.first().copied().unwrap_or(0),
                b'n' => most = Some(count(shell, "mapfile", &value)?).filter(|most| *most > 0).unwrap_or(usize::MAX),
                b's' => skipped = count(shell, "mapfile", &value)?,
                b'O' => origin = Some(count(shell, "mapfile", &value)? as i64),
                _ => descriptor = count(shell, "mapfile", &value)? as u32,
            }
            break;
        }
    }
    let name = rest.first().cloned().unwrap_or_else(|| b"MAPFILE".to_vec());
    if !is_name(&name) {
        return Err(shell.fail(&format!("mapfile: {}: bad variable name", show(&name))));
    }
    let mut text = Vec::new();
    if let Some(mut stream) = shell.streams.get(&descriptor)
        && let Err(error) = stream.read_to_end(&mut text)
    {
        shell.complain(&format!("mapfile: {}", reason(&error)));
        return Ok(1);
    }
    let lines = text.split_inclusive(|&byte| byte == delimiter).skip(skipped).take(most);
    let lines = lines.map(|line| match line.strip_suffix(&[delimiter]) {
        Some(stripped) if strip || delimiter == 0 => stripped.to_vec(),
        _ => line.to_vec(),
    });
    match origin {
        None => shell.assign_array(&name, lines.collect::<Vec<_>>())?,
        Some(origin) => {
            let elements = (origin..).zip(lines).map(|(index, line)| (Some(index.to_string().into_bytes()), line));
            shell.assign_elements(&name, true, elements.collect())?;
        }
    }
    Ok(0)
}

/// At most `most` fields; the last one takes the rest of the line.
fn split(line: &[Quoted], ifs: &[u8], most: usize) -> Vec<Vec<u8>> {
    let white = |&(byte, quoted): &Quoted| !quoted && ifs.contains(&byte) && matches!(byte, b' ' | b'\t' | b'\n');
    let separator = |&(byte, quoted): &Quoted| !quoted && ifs.contains(&byte);
    let text = |part: &[Quoted]| part.iter().map(|(byte, _)| *byte).collect::<Vec<u8>>();
    let trim_start = |part: &mut &[Quoted]| {
        while part.first().is_some_and(white) {
            *part = &part[1..];
        }
    };
    let mut rest = line;
    let mut fields = Vec::new();
    trim_start(&mut rest);
    while fields.len() + 1 < most && !rest.is_empty() {
        let end = rest.iter().position(separator).unwrap_or(rest.len());
        fields.push(text(&rest[..end]));
        rest = &rest[end..];
        trim_start(&mut rest);
        if rest.first().is_some_and(|byte| separator(byte) && !white(byte)) {
            rest = &rest[1..];
            trim_start(&mut rest);
        }
    }
    let trim_end = |part: &mut &[Quoted]| {
        while part.last().is_some_and(white) {
            *part = &part[..part.len() - 1];
        }
    };
    trim_end(&mut rest);
    // One separator that ends the line is not part of the last field, unless others are within it.
    if let Some((last, mut before)) = rest.split_last()
        && separator(last)
    {
        trim_end(&mut before);
        if !before.iter().any(separator) {
            rest = before;
        }
    }
    if !rest.is_empty() || fields.is_empty() {
        fields.push(text(rest));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_lines() {
        for (line, ifs, most, expected) in [
            (" a  b c ", " \t\n", 2, &["a", "b c"][..]),
            ("a:b:c", ":", 2, &["a", "b:c"]),
            ("a:", ":", 1, &["a"]),
            (" A - B - ", "- ", 2, &["A", "B"]),
            ("a b", "", 2, &["a b"]),
            ("", " ", 1, &[""]),
        ] {
            let quoted: Vec<Quoted> = line.bytes().map(|byte| (byte, false)).collect();
            let found: Vec<_> = split(&quoted, ifs.as_bytes(), most)
                .iter()
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .collect();
            assert_eq!(found, expected, "{line:?}");
        }
    }
}
