//! From ranges of call numbers to a BPF program: a binary search, so that each call is decided in some ten steps.

use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_KILL_PROCESS,
    sock_filter,
};

use super::profile::{Rule, Test};

pub(super) const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
pub(super) const JUMP: u32 = BPF_JMP | BPF_JA;
pub(super) const IF_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
pub(super) const IF_AT_LEAST: u32 = BPF_JMP | BPF_JGE | BPF_K;
pub(super) const IF_ANY_BIT: u32 = BPF_JMP | BPF_JSET | BPF_K;
pub(super) const RETURN: u32 = BPF_RET | BPF_K;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The low half of an argument on little-endian machines, which all supported ones are.
const ARGUMENTS: u32 = 16;

/// One section for each architecture; any other is killed.
pub(super) fn compile<const N: usize>(sections: [(u32, Vec<(u32, Rule)>); N]) -> Vec<sock_filter> {
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
        [(_, rule)] => decide(*rule),
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

fn decide(rule: Rule) -> Vec<sock_filter> {
    let arguments = match rule {
        Rule::Always(verdict) => return vec![statement(RETURN, verdict.code())],
        Rule::By(arguments) => arguments,
    };
    let mut program = vec![statement(LOAD, ARGUMENTS + 8 * arguments.index)];
    for (test, verdict) in arguments.tests {
        let (operation, value) = match *test {
            Test::Equals(value) => (IF_EQUAL, value),
            Test::HasAny(bits) => (IF_ANY_BIT, bits),
        };
        program.push(branch(operation, value, 0, 1));
        program.push(statement(RETURN, verdict.code()));
    }
    program.push(statement(RETURN, arguments.otherwise.code()));
    program
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn branch(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
