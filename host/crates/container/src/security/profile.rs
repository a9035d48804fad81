//! Profiles of system calls in Docker's JSON form, which is the OCI runtime specification's with conditions added.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Far longer than any.
pub const MOST_BYTES: u64 = 1 << 20;

/// A profile as it was written. Which of its rules count depends on where, and on what, it is used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: Action,
    default_errno_ret: Option<Errno>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<Architecture>>,
    syscalls: Option<Vec<Calls>>,
    flags: Option<Vec<Flag>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Action {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Flag {
    #[serde(rename = "SECCOMP_FILTER_FLAG_TSYNC")]
    AllThreads,
    #[serde(rename = "SECCOMP_FILTER_FLAG_LOG")]
    Log,
    #[serde(rename = "SECCOMP_FILTER_FLAG_SPEC_ALLOW")]
    Speculate,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Architecture {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Calls {
    /// Of an older form.
    name: Option<String>,
    names: Option<Vec<String>>,
    pub(crate) action: Action,
    errno_ret: Option<Errno>,
    args: Option<Vec<Argument>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Argument {
    #[serde(deserialize_with = "argument_number")]
    pub(crate) index: u8,
    pub(crate) value: u64,
    #[serde(default)]
    pub(crate) value_two: u64,
    pub(crate) op: Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Operator {
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// When a rule counts, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<Kernel>,
}

/// The first two numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kernel(pub(crate) u32, pub(crate) u32);

/// The most that the kernel passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) u16);

/// Where, and on what, a profile is used.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) has_capability: &'a dyn Fn(&str) -> bool,
    /// As Docker names it: `amd64`.
    pub(crate) architecture: &'a str,
    pub(crate) kernel: Kernel,
}

impl Profile {
    /// The error says at which line and column.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let profile: Self = serde_json::from_str(text)?;
        let is_given = |list: bool, what: &str, other: &str| match list {
            true => {
                Err(serde_json::Error::custom(format_args!("there are both `{what}` and `{other}`: use the latter")))
            }
            false => Ok(()),
        };
        let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        let is_mapped = profile.arch_map.as_ref().is_some_and(|map| !map.is_empty());
        is_given(some(&profile.architectures) && is_mapped, "architectures", "archMap")?;
        let is_twice = |calls: &Calls| calls.name.is_some() && some(&calls.names);
        is_given(profile.syscalls.iter().flatten().any(is_twice), "name", "names")?;
        Ok(profile)
    }

    pub(crate) fn default_action(&self) -> (Action, Option<Errno>) {
        (self.default_action, self.default_errno_ret)
    }

    /// Whether programs of an architecture beside the machine's `own` may run, as `SCMP_ARCH_X86` and the like.
    pub(crate) fn has_architecture(&self, own: &str, name: &str) -> bool {
        let map = self.arch_map.iter().flatten().find(|map| map.architecture == own);
        let subs = map.and_then(|map| map.sub_architectures.as_ref());
        self.architectures.iter().chain(subs).flatten().any(|listed| listed == name)
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.flags.iter().flatten().any(|flag| *flag == Flag::Log)
    }

    /// Whether the filter is to keep processes from speculating: none is, unless flags are listed and this is not among them.
    pub(crate) fn is_unspeculative(&self) -> bool {
        let flags = self.flags.as_deref().unwrap_or_default();
        !flags.is_empty() && !flags.contains(&Flag::Speculate)
    }

    /// The rules that count there.
    pub(crate) fn rules<'a>(&'a self, place: Place<'a>) -> impl Iterator<Item = &'a Calls> {
        self.syscalls.iter().flatten().filter(move |calls| {
            let is_excluded = calls.excludes.as_ref().is_some_and(|filter| filter.excludes(place));
            !is_excluded && calls.includes.as_ref().is_none_or(|filter| filter.includes(place))
        })
    }
}

impl Filter {
    /// Any of what it names is enough.
    fn excludes(&self, place: Place<'_>) -> bool {
        self.arches.iter().flatten().any(|name| name == place.architecture)
            || self.caps.iter().flatten().any(|name| (place.has_capability)(name))
            || self.min_kernel.is_some_and(|least| place.kernel >= least)
    }

    /// All that it names must be so.
    fn includes(&self, place: Place<'_>) -> bool {
        let arches = self.arches.as_deref().unwrap_or_default();
        (arches.is_empty() || arches.iter().any(|name| name == place.architecture))
            && self.caps.iter().flatten().all(|name| (place.has_capability)(name))
            && self.min_kernel.is_none_or(|least| place.kernel >= least)
    }
}

impl Calls {
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.name.iter().chain(self.names.iter().flatten())
    }

    pub(crate) fn arguments(&self) -> &[Argument] {
        self.args.as_deref().unwrap_or_default()
    }

    pub(crate) fn errno(&self) -> Option<Errno> {
        self.errno_ret
    }
}

impl Kernel {
    /// Of a kernel's release, as `6.1.0-13-amd64`.
    pub(crate) fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

impl<'de> Deserialize<'de> for Kernel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed =
            text.split_once('.').and_then(|(first, second)| Some(Self(first.parse().ok()?, second.parse().ok()?)));
        parsed.ok_or_else(|| D::Error::custom(format_args!("`{text}` is no version of a kernel: write one as 4.8")))
    }
}

impl<'de> Deserialize<'de> for Errno {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let errno = u16::try_from(number).ok().filter(|errno| *errno <= 4095);
        errno
            .map(Self)
            .ok_or_else(|| D::Error::custom(format_args!("{number} is no error number: the last one is 4095")))
    }
}

fn argument_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let number = u64::deserialize(deserializer)?;
    let index = u8::try_from(number).ok().filter(|index| *index < 6);
    index.ok_or_else(|| D::Error::custom(format_args!("a system call has no argument {number}: they are 0 to 5")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_profiles_are_told_with_their_place() {
        for (text, expected) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{}", "missing field `defaultAction` at line 1 column 2"),
            ("{\"defaultAction\":\n \"SCMP_ACT_WARN\"}", "unknown variant `SCMP_ACT_WARN`, expected one of"),
            ("{\"defaultAction\":\n \"SCMP_ACT_NOTIFY\"}", "at line 2 column 18"),
            (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#, "4096 is no error number"),
            (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["OTHER"]}"#, "unknown variant `OTHER`"),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"a","names":["b"],"action":"SCMP_ACT_TRAP"}]}"#,
                "there are both `name` and `names`",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":""}]}"#,
                "there are both `architectures` and `archMap`",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["b"],"action":"SCMP_ACT_TRAP",
                "args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#,
                "a system call has no argument 6: they are 0 to 5 at line 2",
            ),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["b"],"action":"SCMP_ACT_TRAP",
                "includes":{"minKernel":"4"}}]}"#,
                "`4` is no version of a kernel",
            ),
        ] {
            let error = Profile::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn empty_and_missing_lists_are_the_same() {
        let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":null,"archMap":[],"flags":null,
            "syscalls":[{"name":"a","names":[],"action":"SCMP_ACT_LOG","args":null,"includes":{},"excludes":{},
            "comment":"","priority":1}]}"#;
        let profile = Profile::parse(text).expect("valid");
        let place = Place { has_capability: &|_| false, architecture: "amd64", kernel: Kernel(5, 10) };
        assert_eq!(profile.rules(place).flat_map(Calls::names).collect::<Vec<_>>(), ["a"]);
        assert!(!profile.is_unspeculative());
    }

    #[test]
    fn rules_count_where_they_are_for() {
        let filters = [
            (r#""includes":{"caps":["CAP_SYS_ADMIN"]}"#, true),
            (r#""includes":{"caps":["CAP_SYS_ADMIN","CAP_BPF"]}"#, false),
            (r#""excludes":{"caps":["CAP_BPF","CAP_SYS_ADMIN"]}"#, false),
            (r#""includes":{"arches":["arm64","amd64"]}"#, true),
            (r#""includes":{"arches":["arm64"]}"#, false),
            (r#""excludes":{"arches":["arm64"]}"#, true),
            (r#""includes":{"minKernel":"5.9"}"#, true),
            (r#""includes":{"minKernel":"5.11"}"#, false),
            (r#""excludes":{"minKernel":"5.10"}"#, false),
            (r#""includes":{"minKernel":"4.20"},"excludes":{"minKernel":"6.0"}"#, true),
        ];
        for (filter, expected) in filters {
            let text = format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["a"],"action":"SCMP_ACT_LOG",{filter}}}]}}"#
            );
            let profile = Profile::parse(&text).expect("valid");
            let has_capability = |name: &str| name == "CAP_SYS_ADMIN";
            let place = Place { has_capability: &has_capability, architecture: "amd64", kernel: Kernel(5, 10) };
            assert_eq!(profile.rules(place).count() == 1, expected, "{filter}");
        }
    }

    #[test]
    fn kernels_by_their_release() {
        for (release, expected) in [
            ("6.1.0-13-amd64", Some(Kernel(6, 1))),
            ("5.15-rc1", Some(Kernel(5, 15))),
            ("4.19.256.fc8-x86_64", Some(Kernel(4, 19))),
            ("Darwin", None),
            ("", None),
        ] {
            assert_eq!(Kernel::of_release(release), expected, "{release}");
        }
    }
}
