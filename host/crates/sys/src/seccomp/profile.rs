//! A filter that was asked for in place of the default, as `libseccomp` would make it of the same rules.
//!
//! As there, a rule without conditions is stronger than others of the same call, which then decide nothing; and as in runc,
//! two conditions on one argument are alternatives, and calls that are newer than all in the profile do not exist
//! (`ENOSYS`) where it refuses what it does not name. The x32 interface never exists.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::MOST_INSTRUCTIONS;
use super::numbers::{multiplexed, number};
use super::rule::{Action, Case, Comparison, Condition, Rule, ranges};
use super::syscalls::Abi;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// What becomes of calls that no rule is about.
    pub otherwise: Action,
    pub rules: Vec<CallRule>,
    /// Whether programs of the 32-bit architecture may run, by the same rules; else they are killed.
    pub has_32_bit: bool,
    pub is_logged: bool,
    /// Processes are kept from speculating past what they may read, which makes them slower.
    pub is_unspeculative: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRule {
    /// Those that this machine has not are passed over.
    pub names: Vec<String>,
    pub action: Action,
    /// All must hold, or, if two are about one argument, any.
    pub conditions: Vec<Condition>,
}

/// What a profile says of one call.
struct Said {
    cases: Vec<Case>,
    always: Option<Action>,
}

/// The rules of `abi` as ranges of call numbers.
pub(super) fn section(abi: Abi, profile: &Profile) -> Vec<(u32, Rule)> {
    let mut calls: BTreeMap<u32, Said> = BTreeMap::new();
    for rule in &profile.rules {
        let cases = cases(abi, rule);
        for name in &rule.names {
            if let Some(number) = number(abi, name) {
                add(&mut calls, number, rule.action, &cases, profile.otherwise);
            }
            let refuses = !rule.action.lets_pass();
            if let Some((call, selector)) = multiplexed(name).filter(|_| abi == Abi::X86)
                && let Some(number) = number(abi, call)
                // What stands in memory cannot be tested: who is in doubt is refused.
                && (rule.conditions.is_empty() || refuses)
            {
                // The upper half of the word is a version.
                let condition =
                    Condition { argument: 0, mask: 0xFFFF, comparison: Comparison::Equal, value: selector.into() };
                let case = Case { conditions: vec![condition].into(), action: rule.action };
                add(&mut calls, number, rule.action, &[case], profile.otherwise);
            }
        }
    }
    let rules = calls.into_iter().map(|(number, said)| {
        let rule = match said.always {
            Some(action) => Rule::always(action),
            None => Rule { cases: said.cases.into(), otherwise: profile.otherwise },
        };
        (number, rule)
    });
    let newer = if profile.otherwise.lets_pass() { profile.otherwise } else { Action::NOT_IMPLEMENTED };
    let mut ranges = ranges(rules, profile.otherwise, newer);
    if abi == Abi::X86_64 {
        ranges.push((X32, Rule::always(Action::NOT_IMPLEMENTED)));
    }
    ranges
}

/// From here on the numbers of x86-64 are those of x32.
const X32: u32 = 0x4000_0000;

fn add(calls: &mut BTreeMap<u32, Said>, number: u32, action: Action, cases: &[Case], otherwise: Action) {
    let said = calls.entry(number).or_insert_with(|| Said { cases: Vec::new(), always: None });
    if action == otherwise {
        return;
    }
    match cases {
        [] => said.always = said.always.or(Some(action)),
        // Of a call with more the program is too long already, however often the profile goes on to name it.
        cases if said.cases.len() < MOST_INSTRUCTIONS => said.cases.extend_from_slice(cases),
        _ => {}
    }
}

fn cases(abi: Abi, rule: &CallRule) -> Vec<Case> {
    let is_wide = matches!(abi, Abi::X86_64 | Abi::Aarch64);
    let conditions: Vec<Condition> =
        rule.conditions.iter().map(|condition| if is_wide { *condition } else { condition.narrowed() }).collect();
    let case = |conditions: Vec<Condition>| Case { conditions: Cow::Owned(conditions), action: rule.action };
    let is_repeated = |at: usize, one: &Condition| conditions[..at].iter().any(|other| other.argument == one.argument);
    if conditions.is_empty() {
        Vec::new()
    } else if conditions.iter().enumerate().any(|(at, one)| is_repeated(at, one)) {
        conditions.iter().map(|&one| case(vec![one])).collect()
    } else {
        vec![case(conditions)]
    }
}
