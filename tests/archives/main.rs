//! Archives with the real program: what skopeo, podman and umoci read and write, and what strangers may send. No test
//! uses the internet.
#![cfg(unix)]

mod hostile;
#[path = "../support/kiln.rs"]
#[allow(dead_code, unused_macros, reason = "suites that build use more of it")]
mod kiln;
mod platforms;
mod podman;
mod skopeo;
mod streams;
mod umoci;
mod work;
