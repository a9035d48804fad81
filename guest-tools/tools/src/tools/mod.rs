//! One file per utility, or per group of small ones.

pub mod cat;
pub mod chmod;
pub mod cp;
pub mod echo;
pub mod ln;
pub mod mkdir;
pub mod mv;
pub mod names;
pub mod rm;
pub mod small;
pub mod touch;
