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

/// Linux's signals without SIG, 32 and 33 being the C library's own.
const SIGNALS: [&str; 33] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU",
];

/// Whether STOPSIGNAL can be that: a number, or a name with or without SIG.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let within = |offset: &str, most: u8| offset.parse::<u8>().is_ok_and(|offset| offset <= most);
    SIGNALS.contains(&name)
        || matches!(name, "XFSZ" | "RTMIN" | "RTMAX")
        || name.strip_prefix("RTMIN+").is_some_and(|offset| within(offset, 15))
        || name.strip_prefix("RTMAX-").is_some_and(|offset| within(offset, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for signal in ["SIGTERM", "term", "9", "64", "SIGRTMIN+3", "SIGRTMAX-14", "SIGXFSZ"] {
            assert!(is_signal(signal), "{signal}");
        }
        for text in ["", "FOO", "0", "65", "-1", "SIGRTMIN+16", "SIGRTMAX-15", "SIG"] {
            assert!(!is_signal(text), "{text}");
        }
    }

    #[test]
    fn lists_as_go_prints_them() {
        let list = ["a", "b \"c\""].map(str::to_owned);
        assert_eq!(quoted_list(&list), r#"["a" "b \"c\""]"#);
        assert_eq!(quoted_list(&[]), "[]");
    }
}
