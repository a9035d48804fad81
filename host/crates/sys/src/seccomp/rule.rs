//! What a filter decides for each call.

use std::borrow::Cow;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Allow,
    /// It is allowed, and the kernel's log tells of it.
    Log,
    /// It is not made, and this is its error.
    Errno(u16),
    /// A SIGSYS.
    Trap,
    /// A tracer decides; without one there is no such call.
    Trace(u16),
    KillThread,
    KillProcess,
}

impl Action {
    pub(super) const REFUSE: Self = Self::Errno(libc::EPERM as u16);
    pub(super) const NOT_IMPLEMENTED: Self = Self::Errno(libc::ENOSYS as u16);

    /// The value that a filter returns.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Allow => libc::SECCOMP_RET_ALLOW,
            Self::Log => libc::SECCOMP_RET_LOG,
            Self::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Self::Trap => libc::SECCOMP_RET_TRAP,
            Self::Trace(message) => libc::SECCOMP_RET_TRACE | u32::from(message),
            Self::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Self::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }

    /// Whether the call is made, or may be.
    pub(super) fn lets_pass(self) -> bool {
        matches!(self, Self::Allow | Self::Log | Self::Trace(_))
    }
}

/// A test of an argument, of which only the bits of the mask count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Its number, from 0 to 5.
    pub argument: u8,
    pub mask: u64,
    pub comparison: Comparison,
    pub value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Condition {
    /// Of an argument that has 32 bits in the kernel: what stands in its other half must not decide.
    pub(super) const fn low(argument: u8, comparison: Comparison, value: u32) -> Self {
        Self { argument, mask: u32::MAX as u64, comparison, value: value as u64 }
    }

    /// For programs whose arguments have 32 bits.
    pub(super) fn narrowed(self) -> Self {
        let low = u64::from(u32::MAX);
        Self { mask: self.mask & low, value: self.value & low, ..self }
    }
}

/// Decides if all its conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) conditions: Cow<'static, [Condition]>,
    pub(super) action: Action,
}

/// The first case that holds decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) cases: Cow<'static, [Case]>,
    pub(super) otherwise: Action,
}

impl Rule {
    pub(super) const fn always(action: Action) -> Self {
        Self { cases: Cow::Borrowed(&[]), otherwise: action }
    }
}

/// ARM's private calls lie far above the others and say nothing about how new a list is.
pub(super) const ARM_PRIVATE: u32 = 0xF_0000;

/// The rules of calls, in the order of their numbers, as ranges: each holds from its number up to the next range's. What is
/// not listed gets `unlisted`, and what is newer than all that is listed, `newer`.
pub(super) fn ranges(
    calls: impl IntoIterator<Item = (u32, Rule)>,
    unlisted: Action,
    newer: Action,
) -> Vec<(u32, Rule)> {
    let calls: Vec<(u32, Rule)> = calls.into_iter().collect();
    let newest = calls.iter().map(|&(number, _)| number).filter(|&number| number < ARM_PRIVATE).max().unwrap_or(0);
    let mut ranges: Vec<(u32, Rule)> = Vec::new();
    let mut push = |number: u32, rule: Rule| {
        if ranges.last().is_none_or(|(_, last)| *last != rule) {
            ranges.push((number, rule));
        }
    };
    let unlisted = |number: u32| Rule::always(if number > newest { newer } else { unlisted });
    let mut next = 0;
    for (number, rule) in calls {
        if number > next {
            push(next, unlisted(next));
        }
        push(number, rule);
        next = number + 1;
    }
    push(next, unlisted(next));
    ranges
}
