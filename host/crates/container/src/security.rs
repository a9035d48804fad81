//! `--security-opt`.

use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Security {
    /// No filter of system calls.
    pub seccomp_unconfined: bool,
    pub no_new_privileges: bool,
}

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
            ("seccomp", Some("unconfined")) => security.seccomp_unconfined = true,
            ("seccomp", Some("builtin" | "default")) => security.seccomp_unconfined = false,
            ("seccomp", Some(_)) => {
                return Err(wrong("there are seccomp=builtin and seccomp=unconfined, and no profiles"));
            }
            // kiln sets no AppArmor profile and no SELinux label, so there is nothing to switch off.
            ("apparmor", Some("unconfined")) | ("label", Some("disable")) => {}
            _ => return Err(wrong("there are no-new-privileges, seccomp=unconfined and apparmor=unconfined")),
        }
    }
    Ok(security)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is() {
        let options = |list: &[&str]| parse(&list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).ok();
        let none = Security::default();
        assert_eq!(options(&[]), Some(none));
        assert_eq!(options(&["no-new-privileges"]), Some(Security { no_new_privileges: true, ..none }));
        assert_eq!(options(&["no-new-privileges:true"]), Some(Security { no_new_privileges: true, ..none }));
        assert_eq!(options(&["seccomp=unconfined"]), Some(Security { seccomp_unconfined: true, ..none }));
        assert_eq!(options(&["apparmor=unconfined", "label:disable"]), Some(none));
        assert_eq!(options(&["seccomp=/a/profile.json"]), None);
        assert_eq!(options(&["nonsense"]), None);
    }
}
