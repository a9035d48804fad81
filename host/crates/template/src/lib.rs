//! Go templates as `--format` takes them: text with actions, run over JSON values.
