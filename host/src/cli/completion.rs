//! `kiln completion`: its options.

use clap::{Args, ValueEnum};

/// Print a script that completes kiln's commands and options in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln completion bash > /etc/bash_completion.d/kiln
  kiln completion zsh > \"${fpath[1]}/_kiln\"
  kiln completion fish > ~/.config/fish/completions/kiln.fish")]
pub(crate) struct Completion {
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}
