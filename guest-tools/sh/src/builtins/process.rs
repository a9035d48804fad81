//! Control flow and other processes: `break`, `exit`, `eval`, `.`, `exec`, `wait`, `kill`.

use kiln_tools::context::{reason, show};
use kiln_tools::options::number;

use crate::state::{Shell, Stop};
use crate::streams::CapturePipes;
use crate::trap::{SIGNALS, signal};

fn levels(shell: &Shell, argv: &[Vec<u8>]) -> Result<u32, Stop> {
    let levels = match argv.get(1) {
        None => 1,
        Some(text) => match number::<u32>(text).filter(|levels| *levels > 0) {
            Some(levels) => levels,
            None => return Err(shell.fail(&format!("{}: Illegal number: {}", show(&argv[0]), show(text)))),
        },
    };
    Ok(levels.min(shell.loops))
}

pub(super) fn break_(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    match levels(shell, argv)? {
        0 => Ok(0),
        levels => {
            shell.status = 0;
            Err(Stop::Break(levels))
        }
    }
}

pub(super) fn continue_(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    match levels(shell, argv)? {
        0 => Ok(0),
        levels => {
            shell.status = 0;
            Err(Stop::Continue(levels))
        }
    }
}

fn given_status(shell: &Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    match argv.get(1) {
        None => Ok(shell.status),
        Some(text) => match number::<i64>(text) {
            Some(status) => Ok(status as u8),
            None => Err(shell.fail(&format!("{}: Illegal number: {}", show(&argv[0]), show(text)))),
        },
    }
}

pub(super) fn exit(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    Err(Stop::Exit(given_status(shell, argv)?))
}

pub(super) fn return_(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    Err(Stop::Return(given_status(shell, argv)?))
}

pub(super) fn eval(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let text = argv[1..].join(&b' ');
    if text.is_empty() {
        return Ok(0);
    }
    let line = shell.line;
    shell.evaluate(&text)?;
    shell.line = line;
    Ok(shell.status)
}

pub(super) fn dot(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let Some(operand) = argv.get(1) else { return Err(shell.fail(".: filename argument required")) };
    let mut path = shell.path(operand);
    if !operand.contains(&b'/') {
        let search = shell.value(b"PATH").unwrap_or_default();
        let directories = search.split(|&byte| byte == b':');
        let found = directories
            .map(|directory| shell.cwd.join(kiln_guest::path(directory)).join(kiln_guest::path(operand)))
            .find(|candidate| candidate.is_file());
        match found {
            Some(found) => path = found,
            None => return Err(shell.fail(&format!("{}: {}: not found", show(&argv[0]), show(operand)))),
        }
    }
    let source = match std::fs::read(&path) {
        Ok(source) => source,
        Err(error) => {
            return Err(shell.fail(&format!(
                "{}: cannot open {}: {}",
                show(&argv[0]),
                show(operand),
                super::why_not_open(&error)
            )));
        }
    };
    let line = shell.line;
    // Arguments replace the positional parameters while the file is read, as in bash.
    let outer = (argv.len() > 2).then(|| std::mem::replace(&mut shell.positional, argv[2..].to_vec()));
    shell.sources.push(operand.clone());
    let result = shell.evaluate(&source);
    shell.sources.pop();
    if let Some(outer) = outer {
        shell.positional = outer;
    }
    shell.line = line;
    match result {
        Err(Stop::Return(status)) => Ok(status),
        Err(stop) => Err(stop),
        Ok(()) => Ok(shell.status),
    }
}

pub(super) fn exec(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let args = &argv[1..];
    let args = if args.first().is_some_and(|arg| arg == b"--") { &args[1..] } else { args };
    if args.is_empty() {
        return Ok(0);
    }
    // There is nothing to replace this process with, so it waits and ends as the program does.
    let mut pipes = CapturePipes::default();
    let status = match shell.spawn_program(args, &mut pipes) {
        Ok(pid) => {
            shell.streams.clear();
            pipes.drain().map_err(|error| shell.fail_io("exec", &error))?;
            shell.wait_for(pid)
        }
        Err(error) => shell.not_spawned(&args[0], error),
    };
    shell.traps.clear();
    Err(Stop::Exit(status))
}

pub(super) fn wait(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    if argv.len() == 1 {
        for (pid, status) in std::mem::take(&mut shell.jobs) {
            if status.is_none() {
                shell.wait_for(pid);
            }
        }
        return Ok(0);
    }
    if argv[1] == b"-n" {
        return wait_for_next(shell);
    }
    let mut result = 0;
    for arg in &argv[1..] {
        // `%N` is the N-th of those that were started.
        let job = match arg.strip_prefix(b"%") {
            Some(position) => {
                let index = number::<usize>(position).and_then(|position| position.checked_sub(1));
                index.filter(|index| *index < shell.jobs.len())
            }
            None => {
                let pid = number::<u32>(arg);
                pid.and_then(|pid| shell.jobs.iter().position(|(known, _)| *known == pid))
            }
        };
        result = match job {
            None => 127,
            Some(index) => match shell.jobs[index] {
                (_, Some(status)) => status,
                (pid, None) => {
                    let status = shell.wait_for(pid);
                    shell.jobs[index].1 = Some(status);
                    status
                }
            },
        };
    }
    Ok(result)
}

/// `wait -n`: whichever has ended, or ends next.
fn wait_for_next(shell: &mut Shell) -> Result<u8, Stop> {
    if let Some(index) = shell.jobs.iter().position(|(_, status)| status.is_some()) {
        return Ok(shell.jobs.remove(index).1.unwrap_or(0));
    }
    if shell.jobs.is_empty() {
        return Ok(127);
    }
    match kiln_guest::wait(None, true) {
        Ok(Some((pid, status))) => {
            shell.jobs.retain(|(known, _)| *known != pid);
            Ok(status)
        }
        _ => Ok(127),
    }
}

/// `kill -l`: the signals' names, or those of the numbers given, which may be exit statuses too.
fn list_signals(shell: &mut Shell, args: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut out = String::new();
    if args.is_empty() {
        for (name, number) in SIGNALS {
            // EXIT is no signal.
            out.push_str(if number == 0 { "0" } else { name });
            out.push('\n');
        }
    }
    for arg in args {
        let wanted = number::<u32>(arg).map(|number| if number > 128 { number - 128 } else { number });
        match SIGNALS.iter().find(|(_, number)| *number > 0 && Some(*number) == wanted) {
            Some((name, _)) => out.push_str(&format!("{name}\n")),
            None => {
                shell.complain(&format!("kill: invalid signal number or exit status: {}", show(arg)));
                return Ok(2);
            }
        }
    }
    super::io::print(shell, out.as_bytes())
}

pub(super) fn kill(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    if let Some((_, numbers)) = args.split_first().filter(|(first, _)| *first == b"-l") {
        return list_signals(shell, numbers);
    }
    let mut number_to_send = 15;
    if let Some(arg) = args.first().filter(|arg| arg.len() > 1 && arg[0] == b'-') {
        let name = if arg == b"-s" { args.get(1).map(Vec::as_slice).unwrap_or_default() } else { &arg[1..] };
        let skipped = if arg == b"-s" { 2 } else { 1 };
        match signal(name) {
            Some((_, number)) => number_to_send = number,
            None => return Err(shell.fail(&format!("kill: invalid signal number or name: {}", show(name)))),
        }
        args = &args[skipped.min(args.len())..];
    }
    let mut status = 0;
    for arg in args {
        let sent = match number::<u32>(arg) {
            Some(pid) => kiln_guest::kill(pid, number_to_send).map_err(|error| reason(&error)),
            None => Err("Illegal number".to_string()),
        };
        if let Err(why) = sent {
            shell.complain(&format!("kill: {}: {why}", show(arg)));
            status = 1;
        }
    }
    Ok(status)
}
