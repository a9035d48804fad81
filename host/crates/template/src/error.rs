//! What is wrong with a template, in Go's words: users look them up.

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("template: :{line}: {message}")]
    Syntax { line: usize, message: String },

    /// It does not fit the data, or does too much.
    #[error("template: :{line}:{column}: executing {template:?} at <{action}>: {reason}")]
    Execution {
        line: usize,
        column: usize,
        /// Empty for what stands outside of every `define`.
        template: String,
        action: String,
        reason: String,
        /// The fields that there are, where one was wanted that is not.
        fields: Vec<String>,
    },
}

impl Error {
    /// The fields that there are, where one was wanted that is not.
    pub fn fields(&self) -> &[String] {
        match self {
            Self::Syntax { .. } => &[],
            Self::Execution { fields, .. } => fields,
        }
    }
}
