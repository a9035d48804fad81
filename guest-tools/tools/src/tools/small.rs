//! Utilities of a few lines.

use std::time::Duration;

use crate::context::{Context, Failure, Outcome, show};

pub fn true_(_: &mut Context) -> Outcome {
    Ok(0)
}

pub fn false_(_: &mut Context) -> Outcome {
    Ok(1)
}

pub fn pwd(context: &mut Context) -> Outcome {
    let physical = context.args.iter().any(|arg| arg == b"-P");
    let path = if physical {
        super::paths::canonical(context.cwd, super::paths::Missing::Nothing).unwrap_or_else(|_| context.cwd.into())
    } else {
        context.cwd.into()
    };
    context.stdout.write_all(crate::context::path_bytes(&path))?;
    context.stdout.write_all(b"\n")?;
    Ok(0)
}

pub fn sleep(context: &mut Context) -> Outcome {
    let mut total = 0.0;
    for arg in context.args {
        let text = show(arg);
        let (digits, factor) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
            Some(digits) => (
                digits,
                if text.ends_with('m') {
                    60.0
                } else if text.ends_with('h') {
                    3600.0
                } else if text.ends_with('d') {
                    86400.0
                } else {
                    1.0
                },
            ),
            None => (&*text, 1.0),
        };
        match digits.parse::<f64>() {
            Ok(number) if number >= 0.0 => total += number * factor,
            _ => return Err(Failure::new(format!("invalid time interval '{text}'"))),
        }
    }
    if context.args.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    // Longer than anyone waits; a Duration cannot hold every number.
    std::thread::sleep(Duration::from_secs_f64(total.min(1e9)));
    Ok(0)
}

/// `curl` and `wget`: better than "not found" is why, and what to do.
pub fn no_network(context: &mut Context) -> Outcome {
    const COULD_NOT_CONNECT: u8 = 7;
    const NETWORK_FAILURE: u8 = 4;
    let status = if context.name == "curl" { COULD_NOT_CONNECT } else { NETWORK_FAILURE };
    Err(Failure::new("no network in a WASI step: fetch it with ADD").with_status(status))
}

pub fn yes(context: &mut Context) -> Outcome {
    let mut line = if context.args.is_empty() { b"y".to_vec() } else { context.args.join(&b' ') };
    line.push(b'\n');
    let block = line.repeat((16 * 1024 / line.len()).max(1));
    loop {
        context.stdout.write_all(&block)?;
    }
}
