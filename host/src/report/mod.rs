//! What users see: progress of builds, tables, sizes, ages, errors.

pub(crate) mod age;
pub(crate) mod explanation;
pub(crate) mod failure;
pub(crate) mod format;
mod frame;
pub(crate) mod plain;
pub(crate) mod problem;
pub(crate) mod quiet;
pub(crate) mod size;
pub(crate) mod source;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod transfer;
