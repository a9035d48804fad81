//! What was found out about a file, noted at the file itself and believed until the next boot. Where files have no
//! attributes it is found out anew each time.

use std::fs::File;

use crate::Store;

/// What can be noted.
#[derive(Clone, Copy)]
pub(crate) enum Noted {
    /// The records of an index are as they were written.
    Records,
    /// The image in an index is as it was written.
    Image,
    /// Layers can be mounted here: noted at a folder of the store.
    #[cfg(target_os = "linux")]
    Mounting,
}

#[cfg(target_os = "linux")]
impl Noted {
    fn attribute(self) -> &'static str {
        match self {
            Self::Records => "user.kiln.records",
            Self::Image => "user.kiln.image",
            Self::Mounting => "user.kiln.mounted",
        }
    }
}

#[cfg(target_os = "linux")]
impl Store {
    pub(crate) fn is_noted(&self, file: &File, what: Noted) -> bool {
        let mut noted = [0; 64];
        let length = rustix::fs::fgetxattr(file, what.attribute(), &mut noted).unwrap_or_default();
        self.durable.boot().is_some_and(|boot| noted.get(..length) == Some(boot.as_bytes()))
    }

    pub(crate) fn note(&self, file: &File, what: Noted) {
        if let Some(boot) = self.durable.boot() {
            let _ = rustix::fs::fsetxattr(file, what.attribute(), boot.as_bytes(), rustix::fs::XattrFlags::empty());
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Store {
    pub(crate) fn is_noted(&self, _: &File, _: Noted) -> bool {
        false
    }

    pub(crate) fn note(&self, _: &File, _: Noted) {}
}
