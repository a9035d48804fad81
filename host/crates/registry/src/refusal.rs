//! What registries refuse, in the words that Docker's users know.

use kiln_types::Reference;

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Pull,
    Push,
}

/// What to tell, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub message: String,
    pub hint: String,
    /// The error itself says no more than that.
    pub is_all: bool,
}

impl Error {
    /// Whether the registry wants to know its user, or does not want this one.
    pub fn is_about_the_user(&self) -> bool {
        matches!(self, Self::NoCredentials { .. } | Self::WrongCredentials { .. } | Self::Denied { .. })
    }

    /// What the failed transfer of `name` is called; `None` where the error says it best itself.
    pub fn refusal(&self, doing: Doing, name: &Reference) -> Option<Refusal> {
        let repository = name.familiar_name();
        let is_hub = name.registry == "docker.io";
        let log_in = if is_hub { "kiln login".to_owned() } else { format!("kiln login {}", name.registry) };
        let (message, hint, is_all) = match (self, doing) {
            (Self::NoCredentials { .. } | Self::Denied { .. }, Doing::Pull) => (
                format!("pull access denied for {repository}, repository does not exist or may require '{log_in}'"),
                format!("check the name; if it is a private repository: {log_in}"),
                false,
            ),
            (Self::NoCredentials { .. } | Self::Denied { .. }, Doing::Push) => (
                format!("push access denied for {repository}: requested access to the resource is denied"),
                if is_hub && name.repository.starts_with("library/") {
                    format!("name it after your user: kiln tag {} USER/{repository}", name.familiar())
                } else {
                    format!("log in as a user who may push there: {log_in}")
                },
                false,
            ),
            (Self::WrongCredentials { .. }, _) => (
                format!("unauthorized: {} does not accept your user and password", name.registry),
                format!("log in anew: {log_in}"),
                true,
            ),
            (Self::NotFound { .. }, Doing::Pull) => (
                format!("manifest for {} not found: manifest unknown", name.familiar()),
                "check the repository's name and the tag".to_owned(),
                true,
            ),
            (Self::NoSuchName { .. }, Doing::Push) => (
                format!("An image does not exist locally with the tag: {repository}"),
                format!("`kiln images` lists what there is; name it: kiln tag IMAGE {}", name.familiar()),
                true,
            ),
            _ => return None,
        };
        Some(Refusal { message, hint, is_all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_with_what_helps() {
        let (registry, what, message) = (String::new, String::new, String::new);
        for (error, doing, name, text, hint) in [
            (
                Error::NoCredentials { registry: registry(), what: what() },
                Doing::Pull,
                "secret",
                "pull access denied for secret, repository does not exist or may require 'kiln login'",
                "kiln login",
            ),
            (
                Error::Denied { registry: registry(), what: what(), message: message() },
                Doing::Push,
                "ubuntu",
                "push access denied for ubuntu: requested access to the resource is denied",
                "kiln tag ubuntu:1 USER/ubuntu",
            ),
            (
                Error::Denied { registry: registry(), what: what(), message: message() },
                Doing::Push,
                "host:5000/app",
                "push access denied for host:5000/app: requested access to the resource is denied",
                "kiln login host:5000",
            ),
            (
                Error::NotFound { registry: registry(), what: what(), message: message() },
                Doing::Pull,
                "host:5000/app",
                "manifest for host:5000/app:1 not found: manifest unknown",
                "check",
            ),
        ] {
            let name: Reference = format!("{name}:1").parse().expect("a name");
            let refusal = error.refusal(doing, &name).expect(text);
            assert_eq!(refusal.message, text);
            assert!(refusal.hint.contains(hint), "{}", refusal.hint);
        }
        let other = Error::TooLarge { what: what(), limit: 1 };
        assert_eq!(other.refusal(Doing::Pull, &"a".parse().expect("a name")), None);
    }
}
