//! `sha256sum` and its kin, `cksum`.

use std::io::Read;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::context::{Context, Failure, Outcome, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "cbtwz",
    long: &[
        ("check", 'c'),
        ("binary", 'b'),
        ("text", 't'),
        ("quiet", 'κ'),
        ("status", 'σ'),
        ("strict", 'τ'),
        ("warn", 'w'),
        ("ignore-missing", 'μ'),
        ("tag", 'γ'),
        ("zero", 'z'),
    ],
    operands_last: false,
};

type Sum = fn(&mut dyn Read) -> std::io::Result<String>;

fn digest<D: Digest>(input: &mut dyn Read) -> std::io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..count]);
    }
}

pub fn md5sum(context: &mut Context) -> Outcome {
    sums(context, "MD5", digest::<Md5>)
}

pub fn sha1sum(context: &mut Context) -> Outcome {
    sums(context, "SHA1", digest::<Sha1>)
}

pub fn sha256sum(context: &mut Context) -> Outcome {
    sums(context, "SHA256", digest::<Sha256>)
}

pub fn sha512sum(context: &mut Context) -> Outcome {
    sums(context, "SHA512", digest::<Sha512>)
}

fn sums(context: &mut Context, algorithm: &str, sum: Sum) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let standard = [b"-".to_vec()];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands };
    let mut status = 0;
    for operand in operands {
        if given.has('c') {
            status |= check(context, operand, sum, &|letter| given.has(letter))?;
            continue;
        }
        let result = context.open(operand).and_then(|mut input| sum(&mut input));
        match result {
            Ok(digest) if given.has('γ') => writeln!(context.stdout, "{algorithm} ({}) = {digest}", show(operand))?,
            Ok(digest) => {
                let sign = if given.last_of("bt") == Some('b') { b"*" } else { b" " };
                let end: &[u8] = if given.has('z') { b"\0" } else { b"\n" };
                context.stdout.write_all(&[digest.as_bytes(), b" ", sign, operand, end].concat())?;
            }
            Err(error) => {
                context.complain_of(operand, &error);
                status = 1;
            }
        }
    }
    Ok(status)
}

fn check(context: &mut Context, operand: &[u8], sum: Sum, has: &dyn Fn(char) -> bool) -> Outcome {
    let list = context
        .read(operand)
        .map_err(|error| Failure::new(format!("{}: {}", show(operand), crate::context::reason(&error))))?;
    let (mut failed, mut unreadable, mut malformed, mut verified) = (0, 0, 0, 0);
    for line in list.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#') {
        let Some((expected, name)) = entry(line) else {
            malformed += 1;
            continue;
        };
        let verdict = match context.open(&name).and_then(|mut input| sum(&mut input)) {
            Ok(found) if found.eq_ignore_ascii_case(&expected) => {
                verified += 1;
                if has('κ') { None } else { Some("OK") }
            }
            Ok(_) => {
                failed += 1;
                Some("FAILED")
            }
            Err(error) if has('μ') && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                unreadable += 1;
                context.complain_of(&name, &error);
                Some("FAILED open or read")
            }
        };
        if let Some(verdict) = verdict.filter(|_| !has('σ')) {
            writeln!(context.stdout, "{}: {verdict}", show(&name))?;
        }
    }
    let plural = |count: u32, one: &str, many: &str| if count == 1 { one.to_string() } else { many.to_string() };
    if verified + failed + unreadable == 0 && malformed > 0 {
        let shown = if operand == b"-" { "'standard input'".into() } else { show(operand) };
        return Err(Failure::new(format!("{shown}: no properly formatted checksum lines found")));
    }
    if !has('σ') {
        for (count, what) in [
            (malformed, plural(malformed, "line is improperly formatted", "lines are improperly formatted")),
            (unreadable, plural(unreadable, "listed file could not be read", "listed files could not be read")),
            (failed, plural(failed, "computed checksum did NOT match", "computed checksums did NOT match")),
        ] {
            if count > 0 {
                // What was printed so far comes first.
                context.stdout.flush()?;
                context.complain(format!("WARNING: {count} {what}"));
            }
        }
    }
    Ok(u8::from(failed + unreadable > 0 || (has('τ') && malformed > 0)))
}

/// A digest and a name, in either of the two forms.
fn entry(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let is_digest =
        |text: &[u8]| text.len() >= 32 && text.len().is_multiple_of(2) && text.iter().all(u8::is_ascii_hexdigit);
    if let Some(at) = line.windows(4).rposition(|window| window == b") = ") {
        let open = line.windows(2).position(|window| window == b" (")?;
        let digest = &line[at + 4..];
        return is_digest(digest).then(|| (show(digest).into_owned(), line[open + 2..at].to_vec()));
    }
    let length = line.iter().position(|&byte| byte == b' ')?;
    let name = line.get(length + 2..)?;
    is_digest(&line[..length]).then(|| (show(&line[..length]).into_owned(), name.to_vec()))
}

pub fn cksum(context: &mut Context) -> Outcome {
    let given = Spec::short("").parse(context.args)?;
    context.for_each_input(&given.operands, |context, operand, bytes| {
        let mut crc = 0u32;
        let mut feed = |byte: u8| {
            crc ^= u32::from(byte) << 24;
            for _ in 0..8 {
                crc = if crc & 0x8000_0000 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
            }
        };
        bytes.iter().for_each(|&byte| feed(byte));
        let mut length = bytes.len();
        while length > 0 {
            feed(length as u8);
            length >>= 8;
        }
        let name = if operand == b"-" { String::new() } else { format!(" {}", show(operand)) };
        writeln!(context.stdout, "{} {}{name}", !crc, bytes.len())?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_entries() {
        let digest = "d".repeat(64);
        let name = b"a b".to_vec();
        assert_eq!(entry(format!("{digest}  a b").as_bytes()), Some((digest.clone(), name.clone())));
        assert_eq!(entry(format!("{digest} *a b").as_bytes()), Some((digest.clone(), name.clone())));
        assert_eq!(entry(format!("SHA256 (a b) = {digest}").as_bytes()), Some((digest, name)));
        assert_eq!(entry(b"nonsense"), None);
    }
}
