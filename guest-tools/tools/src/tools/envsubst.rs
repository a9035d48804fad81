//! `envsubst`: `$NAME` and `${NAME}` replaced by what is in the environment.

use crate::context::{Context, Failure, Outcome};
use crate::options::Spec;

const SPEC: Spec = Spec { short: "v", long: &[("variables", 'v')], operands_last: false };

pub fn envsubst(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let chosen = match given.operands.as_slice() {
        [] if given.has('v') => return Err(Failure::misuse("missing arguments")),
        [] => None,
        [format] => Some(pieces(format)),
        _ => return Err(Failure::misuse("too many arguments")),
    };
    if let Some(pieces) = chosen.as_ref().filter(|_| given.has('v')) {
        for name in pieces.iter().filter_map(|piece| piece.name) {
            context.stdout.write_all(&[name, b"\n"].concat())?;
        }
        return Ok(0);
    }
    let is_chosen = |name: &[u8]| match &chosen {
        Some(pieces) => pieces.iter().any(|piece| piece.name == Some(name)),
        None => true,
    };
    let text = context.read(b"-")?;
    for piece in pieces(&text) {
        match piece.name.filter(|name| is_chosen(name)) {
            Some(name) => {
                let value = std::str::from_utf8(name).ok().and_then(|name| context.env(name));
                context.stdout.write_all(value.unwrap_or_default())?;
            }
            None => context.stdout.write_all(piece.text)?,
        }
    }
    Ok(0)
}

/// A reference to a variable, or what stands between two.
struct Piece<'a> {
    text: &'a [u8],
    name: Option<&'a [u8]>,
}

fn pieces(text: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    // From here on nothing has been a reference.
    let mut plain = 0;
    while let Some(dollar) = rest[plain..].iter().position(|&byte| byte == b'$').map(|at| plain + at) {
        let Some((name, length)) = reference(&rest[dollar..]) else {
            plain = dollar + 1;
            continue;
        };
        pieces.push(Piece { text: &rest[..dollar], name: None });
        pieces.push(Piece { text: &rest[dollar..dollar + length], name: Some(name) });
        rest = &rest[dollar + length..];
        plain = 0;
    }
    pieces.push(Piece { text: rest, name: None });
    pieces
}

/// The name after a dollar sign, and how long the whole reference is.
fn reference(text: &[u8]) -> Option<(&[u8], usize)> {
    let braced = text.get(1) == Some(&b'{');
    let start = if braced { 2 } else { 1 };
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = text[start..].iter().take_while(|byte| is_part(byte)).count();
    let name = &text[start..start + length];
    let starts = name.first().is_some_and(|first| !first.is_ascii_digit());
    let closed = !braced || text.get(start + length) == Some(&b'}');
    (starts && closed).then_some((name, start + length + usize::from(braced)))
}
