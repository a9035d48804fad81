//! Dockerfiles and ignore files as values: text in, a tree with source spans or a list of problems out.
//!
//! The floors, each using only those above it:
//!
//! ```text
//! diagnostic, suggest          problems and how they are told
//! lines, directives, pragma    bytes → logical lines (continuations joined), comments, `# escape=`
//! words, flags, exec_form, …   one logical line → words with spans, flags, JSON arrays
//! instructions/                words → typed instructions
//! parse                        instructions → stages
//! variables                    what ARG and `--build-arg` mean to an instruction
//! walk                         the stages as a build would see them, nothing executed
//! lint/, outline               what is doubtful about a Dockerfile; what can be given to it
//! ```
//!
//! Beside them stand what later phases need: [`expand()`] and [`expand_words`] for variables, [`ModeChange`] for `--chmod`,
//! [`IgnoreFile`] and [`glob`] for paths. Nothing here does I/O, and nothing decides whether a build can run:
//! that is the plan's business.

#![cfg_attr(test, expect(clippy::unwrap_used, reason = "tests"))]

mod ast;
mod diagnostic;
mod directives;
mod duration;
mod exec_form;
mod expand;
mod flags;
pub mod glob;
mod go_regex;
mod heredoc;
mod ignore;
mod images;
mod instructions;
mod lines;
pub mod lint;
mod mode;
mod mount;
mod outline;
mod parse;
mod ports;
mod pragma;
mod suggest;
mod syntax;
mod variables;
mod walk;
mod words;

pub use ast::{
    Add, Argument, Command, Copy, Dockerfile, From, Healthcheck, Heredoc, Instruction, Keyword, Kind, Mount, OnBuild,
    Pair, Program, Run, Source, Stage, Transfer, Word,
};
pub use diagnostic::{Diagnostic, Span};
pub use directives::Directives;
pub use duration::parse as parse_duration;
pub use expand::{ExpandError, ExpandFault, Lookup, expand, expand_heredoc, expand_words};
pub use ignore::{IgnoreError, IgnoreFile, Matched};
pub use images::{NeededImage, images};
pub use lint::{Facts, Findings, lint};
pub use mode::ModeChange;
pub use mount::{MountKind, Owner, ResolvedMount, Sharing};
pub use outline::{Outline, OutlineArg, OutlineMount, Target, outline, targets};
pub use parse::{parse, parse_all, parse_instruction};
pub use ports::{Exposed, PortError};
pub use pragma::{Executor, Pragma};
pub use suggest::closest;
pub use syntax::check_syntax;
pub use variables::{
    CACHE_NAMESPACE_ARG, CHECK_ARG, EPOCH_ARG, Given, Globals, HOSTNAME_ARG, KEEP_GIT_DIR_ARG, SYNTAX_ARG, Scope,
    without_effect,
};
pub use walk::{BaseImage, Bases};
