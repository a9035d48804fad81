//! Command line options as getopt_long reads them.

use crate::context::{Failure, show};

/// What a utility understands.
pub struct Spec {
    /// Letters; a colon after one says that it takes a value, two that the value is optional and attached.
    pub short: &'static str,
    /// Long names and the letter that each stands for. A letter that is not in `short` takes a value if it is in
    /// upper case Greek, none otherwise.
    pub long: &'static [(&'static str, char)],
    /// Whether the first operand ends the options.
    pub operands_last: bool,
}

/// The options given, in order, and the operands.
#[derive(Debug, Default)]
pub struct Given {
    pub options: Vec<(char, Option<Vec<u8>>)>,
    pub operands: Vec<Vec<u8>>,
}

impl Given {
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    /// The value of the last one given.
    pub fn value(&self, letter: char) -> Option<&[u8]> {
        self.options.iter().rev().find(|(given, _)| *given == letter).and_then(|(_, value)| value.as_deref())
    }

    /// Which of the letters was given last.
    pub fn last_of(&self, letters: &str) -> Option<char> {
        self.options.iter().rev().map(|(letter, _)| *letter).find(|letter| letters.contains(*letter))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    Optional,
}

impl Spec {
    /// Options of one letter only.
    pub const fn short(short: &'static str) -> Spec {
        Spec { short, long: &[], operands_last: false }
    }

    fn takes(&self, letter: char) -> Option<Takes> {
        let Some(at) = self.short.find(letter).filter(|_| letter != ':') else {
            let upper_greek = ('\u{391}'..='\u{3a9}').contains(&letter);
            return Some(if upper_greek { Takes::Value } else { Takes::Nothing });
        };
        let after = &self.short[at + letter.len_utf8()..];
        Some(match after {
            _ if after.starts_with("::") => Takes::Optional,
            _ if after.starts_with(':') => Takes::Value,
            _ => Takes::Nothing,
        })
    }

    pub fn parse(&self, args: &[Vec<u8>]) -> Result<Given, Failure> {
        let mut given = Given::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == b"--" {
                given.operands.extend(args.cloned());
                break;
            }
            if let Some(name) = arg.strip_prefix(b"--") {
                self.long(name, &mut args, &mut given)?;
            } else if arg.len() > 1 && arg[0] == b'-' {
                self.letters(&arg[1..], &mut args, &mut given)?;
            } else {
                given.operands.push(arg.clone());
                if self.operands_last {
                    given.operands.extend(args.cloned());
                    break;
                }
            }
        }
        Ok(given)
    }

    fn long(&self, text: &[u8], args: &mut std::slice::Iter<Vec<u8>>, given: &mut Given) -> Result<(), Failure> {
        let (name, attached) = match text.iter().position(|&byte| byte == b'=') {
            Some(at) => (&text[..at], Some(text[at + 1..].to_vec())),
            None => (text, None),
        };
        let exact = self.long.iter().find(|(long, _)| long.as_bytes() == name);
        let mut candidates = self.long.iter().filter(|(long, _)| long.as_bytes().starts_with(name));
        let found = match (exact, candidates.next(), candidates.next()) {
            (Some(exact), ..) => exact,
            (None, Some(only), None) => only,
            (None, Some(_), Some(_)) => {
                return Err(Failure::misuse(format!("option '--{}' is ambiguous", show(name))));
            }
            (None, None, _) => return Err(Failure::misuse(format!("unrecognized option '--{}'", show(name)))),
        };
        let value = match self.takes(found.1) {
            Some(Takes::Value) => match attached.or_else(|| args.next().cloned()) {
                Some(value) => Some(value),
                None => return Err(Failure::misuse(format!("option '--{}' requires an argument", found.0))),
            },
            Some(Takes::Nothing) if attached.is_some() => {
                return Err(Failure::misuse(format!("option '--{}' doesn't allow an argument", found.0)));
            }
            _ => attached,
        };
        given.options.push((found.1, value));
        Ok(())
    }

    fn letters(&self, text: &[u8], args: &mut std::slice::Iter<Vec<u8>>, given: &mut Given) -> Result<(), Failure> {
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let letter = byte as char;
            let takes = if self.short.contains(letter) { self.takes(letter) } else { None };
            let value = match takes {
                None => return Err(Failure::misuse(format!("invalid option -- '{letter}'"))),
                Some(Takes::Nothing) => None,
                Some(Takes::Optional) => {
                    let value = (!rest.is_empty()).then(|| rest.to_vec());
                    rest = b"";
                    value
                }
                Some(Takes::Value) if !rest.is_empty() => Some(std::mem::take(&mut rest).to_vec()),
                Some(Takes::Value) => match args.next() {
                    Some(value) => Some(value.clone()),
                    None => return Err(Failure::misuse(format!("option requires an argument -- '{letter}'"))),
                },
            };
            given.options.push((letter, value));
        }
        Ok(())
    }
}

/// A number, with the suffixes k, M, G … that sizes may have.
pub fn size(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor: u64 = match &text[digits..] {
        "" | "c" => 1,
        "b" => 512,
        "w" => 2,
        "kB" | "KB" => 1000,
        "k" | "K" | "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "m" | "M" | "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "g" | "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A decimal number.
pub fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn reads_options_in_any_order() {
        let spec = Spec { short: "ab:c::", long: &[("alpha", 'a'), ("beta", 'b')], operands_last: false };
        let given = spec.parse(&args("-ab1 x --beta=2 -cfoo -c --al -- -a")).expect("valid");
        let letters: String = given.options.iter().map(|(letter, _)| *letter).collect();
        assert_eq!(letters, "abbcca");
        assert_eq!(given.value('b'), Some(&b"2"[..]));
        assert_eq!(given.operands, args("x -a"));
        assert!(spec.parse(&args("-z")).is_err());
        assert!(spec.parse(&args("-b")).is_err());
    }

    #[test]
    fn sizes() {
        for (text, size_expected) in [("10", Some(10)), ("2k", Some(2048)), ("1MB", Some(1_000_000)), ("x", None)] {
            assert_eq!(size(text.as_bytes()), size_expected);
        }
    }
}
