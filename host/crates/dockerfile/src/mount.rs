//! `RUN --mount` with its variables expanded: every option in its type, and only those that the kind of mount has.

use crate::diagnostic::quoted;
use crate::{Diagnostic, ExpandError, Mount, Span, closest};

/// What is mounted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedMount {
    /// As written: relative to the working directory; the working directory itself where it is empty.
    /// Secrets and agents without one have a place of their own.
    pub target: String,
    pub kind: MountKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    Bind {
        /// A stage, its number, an image or a named context; the build context without it.
        from: Option<String>,
        /// Below the root of `from`; empty for the root itself.
        source: String,
        /// What is written is thrown away after the step.
        writable: bool,
    },
    Cache {
        /// The target where none is given.
        id: Option<String>,
        /// What a new cache begins with; an empty directory without it.
        from: Option<String>,
        source: String,
        sharing: Sharing,
        read_only: bool,
        owner: Owner,
    },
    Tmpfs {
        /// In bytes.
        size: Option<u64>,
        read_only: bool,
    },
    Secret {
        id: String,
        /// A variable that holds the secret; then there is a file only if a target is given.
        env: Option<String>,
        required: bool,
        owner: Owner,
    },
    Ssh {
        id: String,
        required: bool,
        owner: Owner,
    },
}

/// Who may use a cache, a secret or an agent's socket; each kind has its own defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// What happens when several steps use one cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Shared,
    /// Each has one of its own.
    Private,
    /// One waits for the other.
    Locked,
}

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARINGS: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];
const MOST_BITS: u32 = 0o7777;

impl Mount {
    /// Gives the options their meaning; `expand` expands the variables of a value.
    pub fn resolve(
        &self,
        expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>,
    ) -> Result<ResolvedMount, Diagnostic> {
        let mut options = Vec::with_capacity(self.options.len());
        for (key, value) in &self.options {
            let value = value.as_deref().map(&mut *expand).transpose();
            options.push((key.as_str(), value.map_err(|error| error.diagnostic(self.span))?));
        }
        let options = Options { options, span: self.span };
        let (from, source) = (options.text(&["from"]), options.text(&["source", "src"]).unwrap_or_default());
        let target = options.text(&["target", "dst", "destination"]).unwrap_or_default();
        let written = options.text(&["type"]).map_or_else(|| "bind".to_owned(), |kind| kind.to_lowercase());
        options.check(&written)?;
        let kind = match written.as_str() {
            "bind" => MountKind::Bind { from, source, writable: !options.read_only(true)? },
            "cache" => MountKind::Cache {
                id: options.text(&["id"]),
                from,
                source,
                sharing: options.sharing()?,
                read_only: options.read_only(false)?,
                owner: options.owner()?,
            },
            "tmpfs" => MountKind::Tmpfs { size: options.size()?, read_only: options.read_only(false)? },
            "secret" => MountKind::Secret {
                id: options.secret_id(source, &target)?,
                env: options.text(&["env"]),
                required: options.boolean("required")?.unwrap_or(false),
                owner: options.owner()?,
            },
            "ssh" => MountKind::Ssh {
                id: options.text(&["id"]).unwrap_or_else(|| "default".to_owned()),
                required: options.boolean("required")?.unwrap_or(false),
                owner: options.owner()?,
            },
            other => {
                let guess = closest(other, TYPES).map(|guess| format!("did you mean {guess}?"));
                return Err(options
                    .error(format!("unknown mount type {}", quoted(other)), format!("known are {}", TYPES.join(", ")))
                    .maybe_hint(guess));
            }
        };
        Ok(ResolvedMount { target, kind, span: self.span })
    }
}

struct Options<'a> {
    /// In the order written: of several the last one counts.
    options: Vec<(&'a str, Option<String>)>,
    span: Span,
}

impl Options<'_> {
    fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Diagnostic {
        Diagnostic::error("invalid-mount", self.span, message).hint(hint)
    }

    /// An empty value is as good as none.
    fn text(&self, names: &[&str]) -> Option<String> {
        let found = self.options.iter().rev().find(|(key, _)| names.contains(key));
        found.and_then(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }

    /// Refuses what this kind of mount does not have and other builders refuse as well.
    fn check(&self, kind: &str) -> Result<(), Diagnostic> {
        let only: &[(&str, &[&str])] = &[
            ("size", &["tmpfs"]),
            ("required", &["secret", "ssh"]),
            ("sharing", &["cache"]),
            ("mode", &["cache", "secret", "ssh"]),
            ("uid", &["cache", "secret", "ssh"]),
            ("gid", &["cache", "secret", "ssh"]),
        ];
        let none: &[(&str, &[&str])] = &[("from", &["secret", "ssh"]), ("source", &["ssh"]), ("src", &["ssh"])];
        for (key, _) in self.options.iter().filter(|_| TYPES.contains(&kind)) {
            let missing = only.iter().any(|(name, kinds)| name == key && !kinds.contains(&kind));
            if missing || none.iter().any(|(name, kinds)| name == key && kinds.contains(&kind)) {
                let message = format!("mounts of type {kind} have no option {key}");
                return Err(self.error(message, "remove it, or choose another type"));
            }
        }
        Ok(())
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, Diagnostic> {
        let Some((_, value)) = self.options.iter().rev().find(|(key, _)| *key == name) else { return Ok(None) };
        match value.as_deref() {
            None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => {
                let message = format!("the mount option {name} cannot be {}", quoted(other));
                Err(self.error(message, format!("write {name}, {name}=true or {name}=false")))
            }
        }
    }

    /// Of `ro` and `rw` the last one counts.
    fn read_only(&self, otherwise: bool) -> Result<bool, Diagnostic> {
        let names = ["readonly", "ro", "readwrite", "rw"];
        let Some((key, _)) = self.options.iter().rev().find(|(key, _)| names.contains(key)) else {
            return Ok(otherwise);
        };
        let set = self.boolean(key)?.unwrap_or(true);
        Ok(set == matches!(*key, "ro" | "readonly"))
    }

    fn sharing(&self) -> Result<Sharing, Diagnostic> {
        let Some(text) = self.text(&["sharing"]) else { return Ok(Sharing::default()) };
        let found = SHARINGS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map(|&(_, sharing)| sharing).ok_or_else(|| {
            let names = SHARINGS.map(|(name, _)| name);
            let guess = closest(&text, names).map(|guess| format!("did you mean {guess}?"));
            self.error(format!("a cache cannot be shared {}", quoted(&text)), format!("known are {}", names.join(", ")))
                .maybe_hint(guess)
        })
    }

    fn number(&self, name: &str, radix: u32, most: u32, hint: &str) -> Result<Option<u32>, Diagnostic> {
        let Some(text) = self.text(&[name]) else { return Ok(None) };
        let number = u32::from_str_radix(&text, radix).ok().filter(|&number| number <= most && !text.starts_with('+'));
        number.map(Some).ok_or_else(|| self.error(format!("the mount option {name} cannot be {}", quoted(&text)), hint))
    }

    fn owner(&self) -> Result<Owner, Diagnostic> {
        Ok(Owner {
            mode: self.number("mode", 8, MOST_BITS, "write it in octal: mode=0400")?,
            uid: self.number("uid", 10, u32::MAX, "write a number: names are not looked up here")?,
            gid: self.number("gid", 10, u32::MAX, "write a number: names are not looked up here")?,
        })
    }

    fn size(&self) -> Result<Option<u64>, Diagnostic> {
        let Some(text) = self.text(&["size"]) else { return Ok(None) };
        bytes(&text).map(Some).ok_or_else(|| {
            self.error(format!("the mount option size cannot be {}", quoted(&text)), "write a size such as 64m or 1g")
        })
    }

    fn secret_id(&self, source: String, target: &str) -> Result<String, Diagnostic> {
        let hint = "name the secret: id=NAME";
        match (self.text(&["id"]), source.is_empty()) {
            (Some(_), false) => Err(self.error("a secret has either an id or a source", hint)),
            (Some(id), true) => Ok(id),
            (None, false) => Ok(source),
            (None, true) => match target.trim_end_matches('/').rsplit('/').next() {
                Some(name) if !name.is_empty() => Ok(name.to_owned()),
                _ => Err(self.error("a secret needs an id or a target", hint)),
            },
        }
    }
}

/// `64m`, `1.5GiB`: powers of 1024, as Docker has them.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let power = match unit.strip_suffix('i').unwrap_or(unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let number: f64 = number.parse().ok().filter(|_| number.starts_with(|c: char| c.is_ascii_digit()))?;
    let bytes = number * 1024_f64.powi(power);
    // A float up to 2^60 fits, and no machine has more memory.
    (bytes < (1_u64 << 60) as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, parse_instruction};

    fn resolve(options: &str) -> Result<ResolvedMount, Diagnostic> {
        let text = format!("RUN --mount={options} true");
        let Kind::Run(run) = parse_instruction(&text).map_err(|mut problems| problems.remove(0))?.kind else {
            panic!("RUN")
        };
        run.mounts[0].resolve(&mut |value| crate::expand(value, &|name| (name == "V").then(|| "x/y".to_owned()), b'\\'))
    }

    #[test]
    fn options_become_types() {
        let owner = Owner { mode: Some(0o400), uid: Some(7), gid: None };
        for (options, target, kind) in [
            ("target=a", "a", MountKind::Bind { from: None, source: String::new(), writable: false }),
            (
                "dst=/a,src=$V,from=b,rw",
                "/a",
                MountKind::Bind { from: Some("b".to_owned()), source: "x/y".to_owned(), writable: true },
            ),
            ("rw,ro,target=a", "a", MountKind::Bind { from: None, source: String::new(), writable: false }),
            ("ro=false,target=a", "a", MountKind::Bind { from: None, source: String::new(), writable: true }),
            ("rw=false,target=a", "a", MountKind::Bind { from: None, source: String::new(), writable: false }),
            ("readonly=false,target=a", "a", MountKind::Bind { from: None, source: String::new(), writable: true }),
            (
                "type=Cache,target=/c,sharing=LOCKED,mode=400,uid=7",
                "/c",
                MountKind::Cache {
                    id: None,
                    from: None,
                    source: String::new(),
                    sharing: Sharing::Locked,
                    read_only: false,
                    owner,
                },
            ),
            ("type=tmpfs,size=1.5k,target=/t", "/t", MountKind::Tmpfs { size: Some(1536), read_only: false }),
            (
                "required,target=/k/id,type=secret",
                "/k/id",
                MountKind::Secret { id: "id".to_owned(), env: None, required: true, owner: Owner::default() },
            ),
            (
                "type=secret,source=s,env=E,required=false",
                "",
                MountKind::Secret {
                    id: "s".to_owned(),
                    env: Some("E".to_owned()),
                    required: false,
                    owner: Owner::default(),
                },
            ),
            ("type=ssh", "", MountKind::Ssh { id: "default".to_owned(), required: false, owner: Owner::default() }),
        ] {
            let found = resolve(options).unwrap();
            assert_eq!((found.target.as_str(), &found.kind), (target, &kind), "{options}");
        }
    }

    #[test]
    fn what_a_kind_does_not_have_is_refused() {
        for options in [
            "size=1m,target=/a",
            "type=cache,required",
            "type=tmpfs,mode=7",
            "type=bind,sharing=shared",
            "type=secret",
            "type=secret,id=a,src=b",
            "type=secret,id=a,from=b",
            "type=ssh,src=b",
            "type=tmpfs,size=x",
            "type=tmpfs,size=1e3",
            "type=tmpfs,size=99999999999999p",
            "type=cache,mode=8",
            "type=cache,mode=10000",
            "type=cache,uid=-1",
            "type=cache,uid=+1",
            "type=cache,sharing=all",
            "type=secret,id=a,required=maybe",
            "type=$V",
        ] {
            assert_eq!(resolve(options).unwrap_err().code, "invalid-mount", "{options}");
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [("0", 0), ("1", 1), ("1b", 1), ("2K", 2048), ("1 MiB", 1 << 20), ("1.5gb", 3 << 29)] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "m", ".5", "1x", "1.2.3", "-1", "1mm", "1bb"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
