//! `tr`: bytes for bytes.

use crate::context::{Context, Failure, Outcome, show};
use crate::escapes;
use crate::options::Spec;
use crate::pattern::in_named_class;

const SPEC: Spec = Spec {
    short: "cCdst",
    long: &[("complement", 'c'), ("delete", 'd'), ("squeeze-repeats", 's'), ("truncate-set1", 't')],
    operands_last: true,
};

/// A set in the order in which it was written.
struct Set {
    bytes: Vec<u8>,
    /// Where `[x*]` stands, to be repeated until the set is long enough.
    fill: Option<(usize, u8)>,
    has_class: bool,
}

pub fn tr(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let (delete, squeeze, complement) = (given.has('d'), given.has('s'), given.last_of("cC").is_some());
    let wanted = if delete != squeeze { 1..=if delete { 1 } else { 2 } } else { 2..=2 };
    match given.operands.len() {
        0 => return Err(Failure::misuse("missing operand")),
        count if !wanted.contains(&count) => {
            let why = if count > 2 || delete { "extra operand" } else { "missing operand after" };
            let at = if count > *wanted.end() { *wanted.end() } else { count - 1 };
            return Err(Failure::new(format!("{why} '{}'", show(&given.operands[at]))));
        }
        _ => {}
    }
    let mut first = Set::parse(&given.operands[0])?.bytes;
    if complement {
        let members = member_table(&first);
        first = (0..=255).filter(|&byte| !members[usize::from(byte)]).collect();
    }
    let second = match given.operands.get(1) {
        Some(text) => Some(Set::parse(text)?),
        None => None,
    };
    let mut map: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    let translates = second.is_some() && !delete;
    let mut squeezed = if squeeze && second.is_none() { member_table(&first) } else { [false; 256] };
    if let Some(second) = second {
        let mut bytes = second.bytes;
        if let Some((at, byte)) = second.fill {
            let missing = first.len().saturating_sub(bytes.len());
            bytes.splice(at..at, std::iter::repeat_n(byte, missing));
        }
        if squeeze {
            squeezed = member_table(&bytes);
        }
        if translates {
            let Some(&last) = bytes.last() else {
                return Err(Failure::new("when not truncating set1, string2 must be non-empty"));
            };
            let most = if given.has('t') { bytes.len() } else { first.len() };
            let mut done = [false; 256];
            for (index, &from) in first.iter().take(most).enumerate() {
                // The first place of a byte counts in GNU's, the last in the standard's: they differ only in mistakes.
                if !std::mem::replace(&mut done[usize::from(from)], true) || !second.has_class {
                    map[usize::from(from)] = bytes.get(index).copied().unwrap_or(last);
                }
            }
        }
    }
    let deleted = if delete { member_table(&first) } else { [false; 256] };
    let mut buffer = vec![0; 64 * 1024];
    let mut previous = None;
    loop {
        let count = context.stdin.read(&mut buffer)?;
        if count == 0 {
            return Ok(0);
        }
        let mut kept = 0;
        if delete || squeeze {
            for index in 0..count {
                let byte = map[usize::from(buffer[index])];
                let again = squeezed[usize::from(byte)] && previous == Some(byte);
                if !deleted[usize::from(buffer[index])] && !again {
                    previous = Some(byte);
                    buffer[kept] = byte;
                    kept += 1;
                }
            }
        } else {
            kept = count;
            buffer[..count].iter_mut().for_each(|byte| *byte = map[usize::from(*byte)]);
        }
        context.stdout.write_all(&buffer[..kept])?;
    }
}

fn member_table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    for &byte in bytes {
        table[usize::from(byte)] = true;
    }
    table
}

impl Set {
    fn parse(text: &[u8]) -> Result<Set, Failure> {
        let mut set = Set { bytes: Vec::new(), fill: None, has_class: false };
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b"[:")
                && let Some(length) = after.windows(2).position(|pair| pair == b":]")
            {
                let name = &after[..length];
                let members: Vec<u8> = (0..=255).filter(|&byte| in_named_class(name, byte)).collect();
                if members.is_empty() {
                    return Err(Failure::new(format!("invalid character class '{}'", show(name))));
                }
                set.bytes.extend(members);
                set.has_class = true;
                rest = &after[length + 2..];
                continue;
            }
            if let Some([byte, b'=', b']', after @ ..]) = rest.strip_prefix(b"[=") {
                set.bytes.push(*byte);
                rest = after;
                continue;
            }
            if rest[0] == b'[' {
                let (byte, after) = one(&rest[1..]);
                if let (Some(byte), Some(after)) = (byte, after.strip_prefix(b"*"))
                    && let Some(length) = after.iter().position(|&byte| byte == b']')
                    && after[..length].iter().all(u8::is_ascii_digit)
                {
                    let radix = if after.starts_with(b"0") { 8 } else { 10 };
                    let count = usize::from_str_radix(&show(&after[..length]), radix).unwrap_or(0).min(1 << 16);
                    if count == 0 {
                        set.fill = Some((set.bytes.len(), byte));
                    }
                    set.bytes.extend(std::iter::repeat_n(byte, count));
                    rest = &after[length + 1..];
                    continue;
                }
            }
            let (byte, after) = one(rest);
            let byte = byte.unwrap_or(b'\\');
            rest = after;
            if let Some(after) = rest.strip_prefix(b"-")
                && let (Some(end), after) = one(after)
            {
                if end < byte {
                    let range = format!("{}-{}", byte as char, end as char);
                    return Err(Failure::new(format!(
                        "range-endpoints of '{range}' are in reverse collating sequence order"
                    )));
                }
                set.bytes.extend(byte..=end);
                rest = after;
            } else {
                set.bytes.push(byte);
            }
        }
        Ok(set)
    }
}

/// The byte at the beginning, which may be escaped.
fn one(text: &[u8]) -> (Option<u8>, &[u8]) {
    match text {
        [] => (None, text),
        [b'\\', b'0'..=b'7', ..] => {
            let (value, length) = escapes::number(&text[1..], 8, 3);
            (Some(value as u8), &text[1 + length..])
        }
        [b'\\', escape, rest @ ..] => (Some(escapes::simple(*escape).unwrap_or(*escape)), rest),
        [byte, rest @ ..] => (Some(*byte), rest),
    }
}
