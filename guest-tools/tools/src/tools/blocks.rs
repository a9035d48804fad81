//! `dd`, `truncate`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Spec, size};

/// One block at a time is in memory.
const MAX_BLOCK: u64 = 64 << 20;

pub fn dd(context: &mut Context) -> Outcome {
    let (mut input, mut output) = (None, None);
    let (mut input_block, mut output_block) = (512, 512);
    let (mut count, mut skip, mut seek) = (None, 0, 0);
    let (mut truncate, mut sync, mut quiet, mut append) = (true, false, false, false);
    let (mut upper, mut lower) = (false, false);
    let (mut count_bytes, mut skip_bytes, mut seek_bytes) = (false, false, false);
    for arg in context.args {
        let invalid = || Failure::new(format!("invalid argument '{}'", show(arg)));
        let at = arg.iter().position(|&byte| byte == b'=').ok_or_else(invalid)?;
        let (name, value) = (&arg[..at], &arg[at + 1..]);
        // `2x512` is a product.
        let amount = || {
            let factors = value.split(|&byte| byte == b'x').map(size);
            factors.reduce(|a, b| a?.checked_mul(b?)).flatten().ok_or_else(invalid)
        };
        match name {
            b"if" => input = Some(value.to_vec()),
            b"of" => output = Some(value.to_vec()),
            b"bs" => (input_block, output_block) = (amount()?, amount()?),
            b"ibs" => input_block = amount()?,
            b"obs" => output_block = amount()?,
            b"count" => count = Some(amount()?),
            b"skip" | b"iseek" => skip = amount()?,
            b"seek" | b"oseek" => seek = amount()?,
            b"status" => quiet = value == b"none",
            b"conv" => {
                for word in value.split(|&byte| byte == b',') {
                    match word {
                        b"notrunc" => truncate = false,
                        b"sync" => sync = true,
                        b"ucase" => upper = true,
                        b"lcase" => lower = true,
                        b"fsync" | b"fdatasync" | b"noerror" | b"sparse" => {}
                        _ => return Err(invalid()),
                    }
                }
            }
            b"iflag" | b"oflag" => {
                for word in value.split(|&byte| byte == b',') {
                    match word {
                        b"append" => append = true,
                        b"count_bytes" => count_bytes = true,
                        b"skip_bytes" => skip_bytes = true,
                        b"seek_bytes" => seek_bytes = true,
                        b"fullblock" | b"direct" | b"sync" | b"dsync" => {}
                        _ => return Err(invalid()),
                    }
                }
            }
            _ => return Err(invalid()),
        }
    }
    if input_block == 0 || input_block > MAX_BLOCK || output_block == 0 {
        return Err(Failure::new(format!("a block must have 1 to {MAX_BLOCK} bytes")));
    }
    let of_blocks = |number: u64, bytes: bool, block: u64| if bytes { number } else { number.saturating_mul(block) };
    let (skip, seek) = (of_blocks(skip, skip_bytes, input_block), of_blocks(seek, seek_bytes, output_block));
    let most = count.map_or(u64::MAX, |count| of_blocks(count, count_bytes, input_block));
    let (cwd, stdin, stdout) = (context.cwd, &mut *context.stdin, &mut *context.stdout);
    let failed = |verb: &str, name: &[u8], error: std::io::Error| {
        Failure::new(format!("failed to {verb} '{}': {}", show(name), reason(&error)))
    };
    let mut reader: Box<dyn Read> = match &input {
        Some(name) => {
            let file = File::open(cwd.join(kiln_guest::path(name)));
            Box::new(file.map_err(|error| failed("open", name, error))?)
        }
        None => Box::new(stdin),
    };
    crate::context::copy(&mut (&mut reader).take(skip), &mut std::io::sink())?;
    let mut writer: Box<dyn Write> = match &output {
        Some(name) => {
            let path = cwd.join(kiln_guest::path(name));
            let opened = OpenOptions::new().write(!append).append(append).create(true).truncate(false).open(&path);
            let mut file = opened.map_err(|error| failed("open", name, error))?;
            // A device has no length to set.
            if truncate && !append && kiln_guest::stat(&path, true).is_ok_and(|stat| stat.is_file()) {
                file.set_len(seek).map_err(|error| failed("truncate", name, error))?;
            }
            if seek > 0 {
                file.seek(SeekFrom::Start(seek))?;
            }
            Box::new(file)
        }
        None => Box::new(stdout),
    };
    let mut block = vec![0; input_block as usize];
    let (mut whole, mut partial, mut copied) = (0u64, 0u64, 0u64);
    while copied < most {
        let wanted = (most - copied).min(input_block) as usize;
        let mut filled = 0;
        while filled < wanted {
            match reader.read(&mut block[filled..wanted])? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            break;
        }
        let ended = filled < wanted;
        if filled == block.len() {
            whole += 1;
        } else {
            partial += 1;
        }
        if sync && filled < block.len() {
            block[filled..].fill(0);
            filled = block.len();
        }
        if upper {
            block[..filled].make_ascii_uppercase();
        } else if lower {
            block[..filled].make_ascii_lowercase();
        }
        writer.write_all(&block[..filled])?;
        copied += filled as u64;
        if ended {
            break;
        }
    }
    writer.flush()?;
    drop((reader, writer));
    if !quiet {
        let records = format!("{whole}+{partial} records");
        writeln!(context.stderr, "{records} in\n{records} out\n{copied} bytes copied")?;
    }
    Ok(0)
}

pub fn truncate(context: &mut Context) -> Outcome {
    const SPEC: Spec =
        Spec { short: "s:r:co", long: &[("size", 's'), ("reference", 'r'), ("no-create", 'c')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing file operand"));
    }
    let (sign, target) = match (given.value('r'), given.value('s')) {
        (Some(reference), _) => {
            let stat = kiln_guest::stat(&context.path(reference), true)
                .map_err(|error| Failure::new(format!("{}: {}", show(reference), reason(&error))))?;
            (b'=', stat.size)
        }
        (None, Some(text)) => {
            let sign = text.first().copied().filter(|sign| b"+-<>/%".contains(sign)).unwrap_or(b'=');
            let digits = if sign == b'=' { text } else { &text[1..] };
            (sign, size(digits).ok_or_else(|| Failure::new(format!("Invalid number: '{}'", show(text))))?)
        }
        (None, None) => return Err(Failure::new("you must specify either '--size' or '--reference'")),
    };
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        if given.has('c') && !path.exists() {
            continue;
        }
        let result = OpenOptions::new().write(true).create(true).truncate(false).open(&path).and_then(|file| {
            let old = file.metadata()?.len();
            file.set_len(match sign {
                b'+' => old.saturating_add(target),
                b'-' => old.saturating_sub(target),
                b'<' => old.min(target),
                b'>' => old.max(target),
                b'/' if target > 0 => old / target * target,
                b'%' if target > 0 => old.div_ceil(target) * target,
                _ => target,
            })
        });
        if let Err(error) = result {
            context.complain(format!("cannot open '{}' for writing: {}", show(operand), reason(&error)));
            status = 1;
        }
    }
    Ok(status)
}
