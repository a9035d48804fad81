//! `--security-opt`.

pub(crate) mod profile;

use std::path::Path;

use crate::error::{Error, Result};

pub use profile::{MOST_BYTES, Profile};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Security {
    pub seccomp: Seccomp,
    pub no_new_privileges: bool,
}

/// The filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    #[default]
    Builtin,
    Unconfined,
    Profile(Box<Profile>),
}

/// As they are kept: where a profile was named, with what was in it.
pub fn parse(options: &[String]) -> Result<Security> {
    let mut security = Security::default();
    for option in options {
        let wrong = |reason: &str| Error::invalid("security option", option, reason);
        let (key, value) = match option.split_once(['=', ':']) {
            Some((key, value)) => (key, Some(value)),
            None => (option.as_str(), None),
        };
        match (key, value) {
            ("no-new-privileges", None | Some("true")) => security.no_new_privileges = true,
            ("no-new-privileges", Some("false")) => security.no_new_privileges = false,
            ("seccomp", Some("unconfined")) => security.seccomp = Seccomp::Unconfined,
            ("seccomp", Some("builtin" | "default")) => security.seccomp = Seccomp::Builtin,
            ("seccomp", Some(json)) if json.starts_with('{') => {
                let profile = Profile::parse(json).map_err(|source| Error::Profile { source })?;
                security.seccomp = Seccomp::Profile(Box::new(profile));
            }
            // kiln sets no AppArmor profile and no SELinux label, so there is nothing to switch off.
            ("apparmor", Some("unconfined")) | ("label", Some("disable")) => {}
            _ => return Err(wrong("there are no-new-privileges, seccomp and apparmor=unconfined")),
        }
    }
    Ok(security)
}

/// The file that an option names.
pub fn profile_file(option: &str) -> Option<&Path> {
    let (key, value) = option.split_once(['=', ':'])?;
    (key == "seccomp" && !matches!(value, "" | "unconfined" | "builtin" | "default")).then(|| Path::new(value))
}

/// The option for a profile's text, which must be one.
pub fn with_profile(text: &str) -> Result<String, serde_json::Error> {
    Profile::parse(text)?;
    let value: serde_json::Value = serde_json::from_str(text)?;
    Ok(format!("seccomp={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is() {
        let options = |list: &[&str]| parse(&list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).ok();
        let none = Security::default();
        assert_eq!(options(&[]), Some(none.clone()));
        for list in [["no-new-privileges"], ["no-new-privileges:true"]] {
            assert_eq!(options(&list), Some(Security { no_new_privileges: true, ..none.clone() }));
        }
        let unconfined = Security { seccomp: Seccomp::Unconfined, ..none };
        assert_eq!(options(&["seccomp=unconfined"]), Some(unconfined));
        assert_eq!(options(&["seccomp=unconfined", "seccomp=builtin"]), Some(none.clone()));
        assert_eq!(options(&["apparmor=unconfined", "label:disable"]), Some(none));
        assert_eq!(options(&["seccomp=/a/profile.json"]), None);
        assert_eq!(options(&["nonsense"]), None);
    }

    #[test]
    fn a_profile_is_kept_with_what_is_in_it() {
        let option = with_profile("{\n \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}").expect("valid");
        assert_eq!(option, r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#);
        assert!(matches!(parse(&[option]).expect("valid").seccomp, Seccomp::Profile(_)));
        with_profile("{}").expect_err("no profile");
        assert_eq!(profile_file("seccomp=a=b.json"), Some(Path::new("a=b.json")));
        for option in ["seccomp=unconfined", "seccomp=builtin", "seccomp=", "apparmor=x", "no-new-privileges"] {
            assert_eq!(profile_file(option), None, "{option}");
        }
    }
}
