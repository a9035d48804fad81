//! `gzip`, `gunzip`, `zcat`.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::GzBuilder;

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "cdfklnNrtvq123456789S:",
    long: &[
        ("stdout", 'c'),
        ("to-stdout", 'c'),
        ("decompress", 'd'),
        ("uncompress", 'd'),
        ("force", 'f'),
        ("keep", 'k'),
        ("no-name", 'n'),
        ("name", 'N'),
        ("test", 't'),
        ("verbose", 'v'),
        ("quiet", 'q'),
        ("fast", '1'),
        ("best", '9'),
        ("suffix", 'S'),
    ],
    operands_last: false,
};

/// How messages end that are only warnings.
const IGNORED: &str = " -- ignored";
const STATUS_WARNING: u8 = 2;

pub fn gzip(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    if given.has('l') {
        return Err(Failure::new("-l is not supported: use gzip -dc FILE | wc -c"));
    }
    let decompress = given.last_of("dt").is_some() || context.name != "gzip";
    let to_stdout = given.has('c') || context.name == "zcat";
    let level = given.last_of("123456789").and_then(|digit| digit.to_digit(10)).unwrap_or(6);
    let standard = [b"-".to_vec()];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands };
    let suffix = given.value('S').unwrap_or(b".gz").to_vec();
    let mut status = 0;
    for operand in operands {
        let result = if given.has('t') {
            context.open(operand).and_then(|input| decompressed(input, &mut io::sink()))
        } else if operand == b"-" || to_stdout {
            match context.open_with_output(operand) {
                Ok((input, output)) => transform(input, output, decompress, level, None),
                Err(error) => Err(error),
            }
        } else {
            replace(context, operand, &suffix, decompress, level, given.has('f'), given.has('k'))
        };
        if let Err(error) = result {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Err(error.into());
            }
            let name = show(if operand == b"-" { b"stdin" } else { operand });
            let (before, why) = match error.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => ("\n", "not in gzip format".to_string()),
                io::ErrorKind::UnexpectedEof => ("\n", "unexpected end of file".to_string()),
                _ => ("", reason(&error)),
            };
            // Whoever calls it `gunzip` is answered by gzip.
            if let Some(warning) = why.strip_suffix(IGNORED) {
                let colon = if warning == "is a directory" { "" } else { ":" };
                writeln!(context.stderr, "gzip: {name}{colon} {warning}{IGNORED}")?;
                status = if status == 0 { STATUS_WARNING } else { status };
            } else {
                writeln!(context.stderr, "{before}gzip: {name}: {why}")?;
                status = 1;
            }
        }
    }
    Ok(status)
}

fn decompressed(mut input: impl Read, output: &mut dyn Write) -> io::Result<()> {
    let mut magic = Vec::new();
    (&mut input).take(2).read_to_end(&mut magic)?;
    if magic.len() == 2 && magic != [0x1f, 0x8b] {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // The decoder asks for a few bytes at a time.
    let input = io::BufReader::with_capacity(64 * 1024, magic.as_slice().chain(input));
    crate::context::copy(&mut flate2::bufread::MultiGzDecoder::new(input), output).map(drop)
}

fn transform(
    mut input: impl Read,
    output: &mut dyn Write,
    decompress: bool,
    level: u32,
    name: Option<(&[u8], u32)>,
) -> io::Result<()> {
    if decompress {
        return decompressed(input, output);
    }
    let mut builder = GzBuilder::new();
    if let Some((name, mtime)) = name {
        builder = builder.filename(name.to_vec()).mtime(mtime);
    }
    let mut encoder = builder.operating_system(3).write(output, Compression::new(level));
    crate::context::copy(&mut input, &mut encoder)?;
    encoder.finish().map(drop)
}

/// A file in the place of another, with its mode and times.
fn replace(
    context: &Context,
    operand: &[u8],
    suffix: &[u8],
    decompress: bool,
    level: u32,
    force: bool,
    keep: bool,
) -> io::Result<()> {
    let target = if decompress {
        match operand.strip_suffix(suffix) {
            Some(base) if !base.is_empty() => base.to_vec(),
            _ => match operand.strip_suffix(b".tgz") {
                Some(base) => [base, b".tar"].concat(),
                None => return Err(io::Error::other("unknown suffix -- ignored")),
            },
        }
    } else if operand.ends_with(suffix) {
        return Err(io::Error::other(format!("already has {} suffix -- unchanged", show(suffix))));
    } else {
        [operand, suffix].concat()
    };
    let (from, to) = (context.path(operand), context.path(&target));
    let stat = kiln_guest::stat(&from, true)?;
    if stat.is_dir() {
        return Err(io::Error::other("is a directory -- ignored"));
    }
    if !force && to.exists() {
        return Err(io::Error::other(format!("{} already exists", show(&target))));
    }
    let seconds = u32::try_from(stat.mtime.div_euclid(crate::calendar::SECOND)).unwrap_or(0);
    let base = super::names::base_of(operand).to_vec();
    let mut output = File::create(&to)?;
    let made = transform(File::open(&from)?, &mut output, decompress, level, Some((&base, seconds)));
    if let Err(error) = made {
        // Half a file is worse than none.
        let _ = std::fs::remove_file(&to);
        return Err(error);
    }
    drop(output);
    kiln_guest::chmod(&to, true, stat.mode & 0o7777)?;
    kiln_guest::set_times(&to, true, Some(stat.atime), Some(stat.mtime))?;
    if keep { Ok(()) } else { std::fs::remove_file(&from) }
}
