//! `tar`: create, extract, list; plain or gzip.

mod create;
mod extract;
mod header;

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::GzBuilder;
use flate2::read::MultiGzDecoder;

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Given, Spec};
use crate::pattern::Pattern;
use crate::tools::sed::Script;

const SPEC: Spec = Spec {
    short: "cxtruf:C:vzjJZapPmkOohWwT:X:hSsb:",
    long: &[
        ("create", 'c'),
        ("extract", 'x'),
        ("get", 'x'),
        ("list", 't'),
        ("append", 'r'),
        ("file", 'f'),
        ("directory", 'C'),
        ("verbose", 'v'),
        ("gzip", 'z'),
        ("gunzip", 'z'),
        ("bzip2", 'j'),
        ("xz", 'J'),
        ("auto-compress", 'a'),
        ("preserve-permissions", 'p'),
        ("same-permissions", 'p'),
        ("absolute-names", 'P'),
        ("touch", 'm'),
        ("keep-old-files", 'k'),
        ("to-stdout", 'O'),
        ("no-same-owner", 'o'),
        ("same-owner", 'σ'),
        ("no-same-permissions", 'ν'),
        ("dereference", 'h'),
        ("files-from", 'T'),
        ("exclude-from", 'X'),
        ("exclude", 'Ε'),
        ("strip-components", 'Σ'),
        ("owner", 'Ω'),
        ("group", 'Γ'),
        ("mode", 'Μ'),
        ("mtime", 'Τ'),
        ("sort", 'Π'),
        ("format", 'Φ'),
        ("numeric-owner", 'ι'),
        ("no-recursion", 'ρ'),
        ("overwrite", 'ω'),
        ("transform", 'Ξ'),
        ("xform", 'Ξ'),
        ("wildcards", 'β'),
        ("no-xattrs", 'χ'),
        ("warning", 'Ψ'),
    ],
    operands_last: false,
};

/// What all operations need to know.
struct Settings<'g> {
    given: &'g Given,
    /// The directory that names are relative to.
    directory: PathBuf,
    exclude: Vec<Pattern>,
    strip: usize,
    /// What `--transform` says.
    renaming: Option<Script>,
}

pub fn tar(context: &mut Context) -> Outcome {
    let args = dashed(context.args);
    let mut given = SPEC.parse(&args)?;
    if let Some(file) = given.value('T').map(<[u8]>::to_vec) {
        let names =
            context.read(&file).map_err(|error| Failure::usage(format!("{}: {}", show(&file), reason(&error))))?;
        given.operands.extend(super::lines::split_lines(&names, b'\n'));
    }
    for (letter, name) in [('j', "bzip2"), ('J', "xz"), ('Z', "compress")] {
        if given.has(letter) {
            return Err(Failure::usage(format!("{name} is not supported here: use gzip (-z)")));
        }
    }
    let mut directory = context.cwd.to_path_buf();
    for (letter, value) in &given.options {
        if let ('C', Some(value)) = (letter, value) {
            directory = directory.join(kiln_guest::path(value));
        }
    }
    if !directory.is_dir() {
        return Err(Failure::usage(format!("{}: Cannot open: No such file or directory", directory.display())));
    }
    let mut exclude = Vec::new();
    for (letter, value) in &given.options {
        match (letter, value) {
            ('Ε', Some(glob)) => exclude.push(Pattern::new(glob)),
            ('X', Some(file)) => {
                let globs = context
                    .read(file)
                    .map_err(|error| Failure::usage(format!("{}: {}", show(file), reason(&error))))?;
                exclude.extend(super::lines::split_lines(&globs, b'\n').iter().map(|glob| Pattern::new(glob)));
            }
            _ => {}
        }
    }
    let strip = match given.value('Σ') {
        Some(text) => crate::options::number(text).ok_or_else(|| Failure::usage("invalid number of components"))?,
        None => 0,
    };
    let renamings: Vec<&[u8]> =
        given.options.iter().filter(|(letter, _)| *letter == 'Ξ').filter_map(|(_, value)| value.as_deref()).collect();
    let renaming = if renamings.is_empty() { None } else { Some(Script::parse(&renamings.join(&b';'))?) };
    let settings = Settings { given: &given, directory, exclude, strip, renaming };
    let archive = given.value('f').unwrap_or(b"-").to_vec();
    match given.last_of("cxtru") {
        Some('c' | 'r') => create(context, &settings, &archive),
        Some('x') => read(context, &settings, &archive, extract::extract),
        Some('t') => read(context, &settings, &archive, extract::list),
        Some(_) => Err(Failure::usage("-u is not supported: append with -r")),
        None => Err(Failure::usage("You must specify one of the '-Acdtrux' options")),
    }
}

/// `tar xzf a.tar` without dashes: each letter's value follows in order.
fn dashed(args: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = args.split_first().filter(|(first, _)| !first.starts_with(b"-")) else {
        return args.to_vec();
    };
    let mut rest = rest.iter();
    let mut out = Vec::new();
    for &letter in first {
        out.push(vec![b'-', letter]);
        if b"fCTXb".contains(&letter) {
            out.extend(rest.next().cloned());
        }
    }
    out.extend(rest.cloned());
    out
}

impl Settings<'_> {
    fn renamed(&self, name: &[u8]) -> Result<Vec<u8>, Failure> {
        self.renaming.as_ref().map_or_else(|| Ok(name.to_vec()), |script| script.run(name))
    }

    /// A name is left out if a pattern matches it, or anything in it from some slash on.
    fn excludes(&self, name: &[u8]) -> bool {
        let starts =
            std::iter::once(0).chain(name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1));
        let tails: Vec<&[u8]> = starts.map(|start| &name[start..]).collect();
        self.exclude.iter().any(|pattern| tails.iter().any(|tail| pattern.matches(tail)))
    }
}

fn read(
    context: &mut Context,
    settings: &Settings,
    archive: &[u8],
    operation: fn(&mut Context, &Settings, &mut dyn Read) -> Outcome,
) -> Outcome {
    if archive == b"-" {
        let mut inner = Context {
            name: context.name,
            args: context.args,
            env: context.env,
            cwd: context.cwd,
            stdin: &mut std::io::empty(),
            stdout: &mut *context.stdout,
            stderr: &mut *context.stderr,
        };
        return operation(&mut inner, settings, &mut decompressed(&mut *context.stdin)?);
    }
    let file = File::open(context.path(archive)).map_err(|error| Failure::usage(cannot_open(archive, &error)))?;
    operation(context, settings, &mut decompressed(file)?)
}

fn cannot_open(archive: &[u8], error: &std::io::Error) -> String {
    let reason = reason(error);
    format!("{}: Cannot open: {reason}\ntar: Error is not recoverable: exiting now", show(archive))
}

/// The archive itself, whatever it was compressed with.
fn decompressed<'a>(input: impl Read + 'a) -> Result<Box<dyn Read + 'a>, Failure> {
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let mut magic = Vec::new();
    (&mut input).take(6).read_to_end(&mut magic)?;
    let whole = std::io::Cursor::new(magic.clone()).chain(input);
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
        [b'B', b'Z', b'h', ..] => return Err(Failure::usage("bzip2 archives are not supported here")),
        [0xfd, b'7', b'z', b'X', ..] => return Err(Failure::usage("xz archives are not supported here")),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(Failure::usage("zstd archives are not supported here")),
        _ => Box::new(whole),
    })
}

fn create(context: &mut Context, settings: &Settings, archive: &[u8]) -> Outcome {
    let given = settings.given;
    if given.operands.is_empty() {
        return Err(Failure::usage("Cowardly refusing to create an empty archive"));
    }
    let by_suffix = archive.ends_with(b".gz") || archive.ends_with(b".tgz");
    let compress = given.has('z') || (given.has('a') && by_suffix);
    let path = context.path(archive);
    let (mut names, mut problems) = (Vec::new(), Vec::new());
    let to_stdout = archive == b"-";
    let (mut own, mut before) = (None, 0);
    let (cwd, env) = (context.cwd, context.env);
    let mut output: Box<dyn Write + '_> = if to_stdout {
        Box::new(&mut *context.stdout)
    } else {
        let opened = if given.last_of("cr") == Some('r') {
            open_to_append(&path)
        } else {
            File::create(&path).map(|file| (file, 0))
        };
        let file;
        (file, before) = opened.map_err(|error| Failure::usage(cannot_open(archive, &error)))?;
        own = kiln_guest::stat(&path, true).ok().map(|stat| (stat.dev, stat.ino));
        Box::new(std::io::BufWriter::with_capacity(64 * 1024, file))
    };
    let creation = create::Creation { cwd, env, settings, own };
    let status = if compress {
        let mut encoder = gzip(&mut output);
        let status = creation.run(&mut encoder, before, &mut names, &mut problems)?;
        encoder.finish()?;
        status
    } else {
        creation.run(&mut output, before, &mut names, &mut problems)?
    };
    output.flush()?;
    drop(output);
    report(context, settings, names, problems, status, to_stdout)
}

/// The archive, positioned after its last member.
fn open_to_append(path: &std::path::Path) -> std::io::Result<(File, u64)> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut end = 0;
    for entry in tar::Archive::new(&file).entries_with_seek()? {
        let entry = entry?;
        let size = entry.header().entry_size()?;
        end = entry.raw_file_position() + size + header::padding(size) as u64;
    }
    file.set_len(end)?;
    file.seek(std::io::SeekFrom::Start(end))?;
    Ok((file, end))
}

fn report(
    context: &mut Context,
    settings: &Settings,
    names: Vec<Vec<u8>>,
    problems: Vec<String>,
    status: u8,
    to_stderr: bool,
) -> Outcome {
    if settings.given.has('v') {
        for name in names {
            let line = [&name[..], b"\n"].concat();
            if to_stderr { context.stderr.write_all(&line)? } else { context.stdout.write_all(&line)? }
        }
    }
    for problem in &problems {
        context.complain(problem);
    }
    if status != 0 {
        context.complain(extract::EXITING);
    }
    Ok(status)
}

/// Without a time in the header, as GNU tar makes it through a pipe.
fn gzip<W: Write>(output: W) -> flate2::write::GzEncoder<W> {
    GzBuilder::new().operating_system(3).write(output, Compression::new(6))
}
