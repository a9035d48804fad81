//! The words of history: what Docker's users know from `docker history`.

use std::fmt::Write as _;

/// Marks history entries of instructions that ran nothing.
pub(crate) const COMMENT_MARK: &str = "#(nop) ";

/// The shell that shell forms are given to.
pub(crate) fn shell_of(config: &kiln_image::Config) -> Vec<String> {
    match &config.shell {
        Some(shell) if !shell.is_empty() => shell.clone(),
        _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
    }
}

/// A list as Go's `%q` prints it: `["a" "b"]`.
pub(super) fn quoted_list(values: &[String]) -> String {
    let mut out = String::from("[");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        write!(out, "{value:?}").expect("writing to a String cannot fail");
    }
    out.push(']');
    out
}

/// `a=b c=d`.
pub(super) fn pairs(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// RUN's command line; arguments of the build that it could see come first: `|1 V=2 /bin/sh -c …`.
pub(super) fn command_line(args: &[(String, String)], argv: &[String]) -> String {
    if args.is_empty() {
        return argv.join(" ");
    }
    let args = args.iter().map(|(name, value)| format!("{name}={value}"));
    let count = format!("|{}", args.len());
    std::iter::once(count).chain(args).chain(argv.iter().cloned()).collect::<Vec<_>>().join(" ")
}
