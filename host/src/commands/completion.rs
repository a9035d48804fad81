//! `kiln completion`: scripts for shells.

use std::io::Write;

use clap_complete::aot;

use crate::cli;
use crate::cli::completion::{Completion, Shell};

pub(super) fn run(options: &Completion) -> anyhow::Result<()> {
    let shell = match options.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut cli::definition(), "kiln", &mut script);
    let mut out = super::stdout();
    out.write_all(&script)?;
    Ok(out.flush()?)
}
