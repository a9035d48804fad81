//! What `set` and `shopt` switch.

/// The options of `set`, then those of `shopt` that change what this shell does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    AllExport,
    NoClobber,
    ErrExit,
    ErrTrace,
    NoGlob,
    Interactive,
    NoExec,
    NoUnset,
    Verbose,
    XTrace,
    PipeFail,
    DotGlob,
    ExtGlob,
    FailGlob,
    GlobStar,
    NoCaseGlob,
    NoCaseMatch,
    NullGlob,
    /// Stands for those that are accepted and change nothing here.
    Notify,
    HashAll,
    Monitor,
    BraceExpand,
}

/// Letter (or none) and name.
pub(crate) const SET_OPTIONS: [(Flag, char, &str); 15] = [
    (Flag::AllExport, 'a', "allexport"),
    (Flag::NoClobber, 'C', "noclobber"),
    (Flag::ErrExit, 'e', "errexit"),
    (Flag::ErrTrace, 'E', "errtrace"),
    (Flag::NoGlob, 'f', "noglob"),
    (Flag::Interactive, 'i', "interactive"),
    (Flag::NoExec, 'n', "noexec"),
    (Flag::NoUnset, 'u', "nounset"),
    (Flag::Verbose, 'v', "verbose"),
    (Flag::XTrace, 'x', "xtrace"),
    (Flag::PipeFail, '\0', "pipefail"),
    (Flag::Notify, 'b', "notify"),
    (Flag::HashAll, 'h', "hashall"),
    (Flag::Monitor, 'm', "monitor"),
    (Flag::BraceExpand, 'B', "braceexpand"),
];

pub(crate) const SHOPT_OPTIONS: [(Flag, &str); 7] = [
    (Flag::DotGlob, "dotglob"),
    (Flag::ExtGlob, "extglob"),
    (Flag::FailGlob, "failglob"),
    (Flag::GlobStar, "globstar"),
    (Flag::NoCaseGlob, "nocaseglob"),
    (Flag::NoCaseMatch, "nocasematch"),
    (Flag::NullGlob, "nullglob"),
];

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options(u32);

impl Options {
    pub(crate) fn get(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u32 != 0
    }

    pub(crate) fn set(&mut self, flag: Flag, on: bool) {
        self.0 = self.0 & !(1 << flag as u32) | u32::from(on) << flag as u32;
    }

    /// The letters of those that are on, as `$-` shows them.
    pub(crate) fn letters(self) -> String {
        let on = SET_OPTIONS.iter().filter(|(flag, letter, _)| self.get(*flag) && *letter != '\0');
        on.map(|(_, letter, _)| *letter).collect()
    }
}

/// The option of `set -o` with this name.
pub(crate) fn named(name: &[u8]) -> Option<Flag> {
    SET_OPTIONS.iter().find(|(_, _, long)| long.as_bytes() == name).map(|(flag, ..)| *flag)
}

/// The option of `set` with this letter.
pub(crate) fn lettered(letter: u8) -> Option<Flag> {
    SET_OPTIONS.iter().find(|(_, short, _)| *short as u32 == u32::from(letter) && letter != 0).map(|(flag, ..)| *flag)
}
