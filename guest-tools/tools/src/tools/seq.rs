//! `seq`.

use crate::context::{Context, Failure, Outcome, show};
use crate::options::Spec;
use crate::printf::format_all;

const SPEC: Spec =
    Spec { short: "ws:f:", long: &[("equal-width", 'w'), ("separator", 's'), ("format", 'f')], operands_last: true };

pub fn seq(context: &mut Context) -> Outcome {
    // A negative number is an operand.
    let mut args = context.args.to_vec();
    let negative = |arg: &Vec<u8>| arg.len() > 1 && arg[0] == b'-' && (arg[1].is_ascii_digit() || arg[1] == b'.');
    if let Some(at) = args.iter().position(negative)
        && (at == 0 || !matches!(args[at - 1].as_slice(), b"-s" | b"-f"))
    {
        args.insert(at, b"--".to_vec());
    }
    let given = SPEC.parse(&args)?;
    let operands: Vec<&Vec<u8>> = given.operands.iter().filter(|operand| operand.as_slice() != b"--").collect();
    let parse = |text: &Vec<u8>| {
        show(text)
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| Failure::new(format!("invalid floating point argument: '{}'", show(text))))
    };
    let (first, step, last) = match operands.as_slice() {
        [last] => (1.0, 1.0, parse(last)?),
        [first, last] => (parse(first)?, 1.0, parse(last)?),
        [first, step, last] => (parse(first)?, parse(step)?, parse(last)?),
        [] => return Err(Failure::misuse("missing operand")),
        [_, _, _, extra, ..] => return Err(Failure::misuse(format!("extra operand '{}'", show(extra)))),
    };
    if step == 0.0 {
        return Err(Failure::new("invalid Zero increment value: '0'"));
    }
    let decimals_of = |text: &&Vec<u8>| text.iter().position(|&byte| byte == b'.').map_or(0, |at| text.len() - at - 1);
    let shown = if operands.len() == 3 { &operands[..2] } else { &operands[..operands.len() - 1] };
    let decimals = shown.iter().map(decimals_of).max().unwrap_or(0);
    let text = |number: f64| format!("{number:.decimals$}");
    let width = if given.has('w') { text(first).len().max(text(last).len()) } else { 0 };
    let separator = given.value('s').unwrap_or(b"\n");
    let steps = ((last - first) / step + 1e-10).floor();
    let mut index = 0.0;
    while index <= steps {
        let number = first + index * step;
        if index > 0.0 {
            context.stdout.write_all(separator)?;
        }
        match given.value('f') {
            Some(format) => context.stdout.write_all(&format_all(format, &[text(number).into_bytes()]).out)?,
            None => write!(context.stdout, "{number:0width$.decimals$}")?,
        }
        index += 1.0;
    }
    if steps >= 0.0 {
        context.stdout.write_all(b"\n")?;
    }
    Ok(0)
}
