//! The protocol against a scripted registry. Real registries are tested with the whole program.

mod client;
mod contents;
mod logins;
mod mirrors;
mod pulling;
mod pushing;
mod searching;
mod server;
