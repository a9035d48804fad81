//! From ranges of call numbers to a BPF program: a binary search, so that each call is decided in some ten steps.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SECCOMP_RET_KILL_PROCESS, sock_filter,
};

use super::rule::{Comparison, Condition, Rule};

pub(super) const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
pub(super) const AND: u32 = BPF_ALU | BPF_AND | BPF_K;
pub(super) const JUMP: u32 = BPF_JMP | BPF_JA;
pub(super) const IF_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
pub(super) const IF_AT_LEAST: u32 = BPF_JMP | BPF_JGE | BPF_K;
pub(super) const IF_GREATER: u32 = BPF_JMP | BPF_JGT | BPF_K;
pub(super) const RETURN: u32 = BPF_RET | BPF_K;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The low half of an argument on little-endian machines, which all supported ones are.
const ARGUMENTS: u32 = 16;

/// One section for each architecture; any other is killed.
pub(super) fn compile(sections: impl IntoIterator<Item = (u32, Vec<(u32, Rule)>)>) -> Vec<sock_filter> {
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    for (audit, ranges) in sections {
        let mut section = vec![statement(LOAD, NUMBER)];
        section.extend(search(&ranges));
        program.push(branch(IF_EQUAL, audit, 1, 0));
        program.push(statement(JUMP, section.len() as u32));
        program.extend(section);
    }
    program.push(statement(RETURN, SECCOMP_RET_KILL_PROCESS));
    program
}

fn search(ranges: &[(u32, Rule)]) -> Vec<sock_filter> {
    match ranges {
        [] => Vec::new(),
        [(_, rule)] => decide(rule),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first_high = high[0].0;
            let (low, high) = (search(low), search(high));
            let mut program = match u8::try_from(low.len()) {
                Ok(distance) => vec![branch(IF_AT_LEAST, first_high, distance, 0)],
                // A conditional jump reaches 255 instructions, an unconditional one any number.
                Err(_) => vec![branch(IF_AT_LEAST, first_high, 0, 1), statement(JUMP, low.len() as u32)],
            };
            program.extend(low);
            program.extend(high);
            program
        }
    }
}

fn decide(rule: &Rule) -> Vec<sock_filter> {
    let mut program = Vec::new();
    for case in rule.cases.iter() {
        // From its end, as a condition that does not hold jumps over what follows.
        let mut tests = vec![statement(RETURN, case.action.code())];
        for condition in case.conditions.iter().rev() {
            tests.splice(0..0, test(condition, tests.len() as u8));
        }
        program.extend(tests);
    }
    program.push(statement(RETURN, rule.otherwise.code()));
    program
}

/// Goes on if the condition holds, and else jumps over `skipped` further instructions. Of the numbers' halves the high ones
/// decide if they differ.
fn test(condition: &Condition, skipped: u8) -> Vec<sock_filter> {
    let (operation, negated) = match condition.comparison {
        Comparison::Equal => (IF_EQUAL, false),
        Comparison::NotEqual => (IF_EQUAL, true),
        Comparison::Greater => (IF_GREATER, false),
        Comparison::LessOrEqual => (IF_GREATER, true),
        Comparison::GreaterOrEqual => (IF_AT_LEAST, false),
        Comparison::Less => (IF_AT_LEAST, true),
    };
    let offset = ARGUMENTS + 8 * u32::from(condition.argument);
    let [low, high] = [0, 32].map(|shift| ((condition.mask >> shift) as u32, (condition.value >> shift) as u32));
    // How far it is from an instruction to where a result leads, with so many instructions of the test after it.
    let to = |result: bool, after: u8| if result == negated { after + skipped } else { after };

    let load = |offset: u32, mask: u32| {
        let masked = (mask != u32::MAX).then(|| statement(AND, mask));
        std::iter::once(statement(LOAD, offset)).chain(masked)
    };
    let mut program: Vec<sock_filter> = load(offset, low.0).collect();
    program.push(branch(operation, low.1, to(true, 0), to(false, 0)));
    if high != (0, 0) {
        let mut upper: Vec<sock_filter> = load(offset + 4, high.0).collect();
        let rest = program.len() as u8;
        if operation != IF_EQUAL {
            upper.push(branch(IF_GREATER, high.1, to(true, rest + 1), 0));
        }
        upper.push(branch(IF_EQUAL, high.1, 0, to(false, rest)));
        program.splice(0..0, upper);
    }
    program
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
