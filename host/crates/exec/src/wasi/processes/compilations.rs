//! What the user is told while a program is compiled: nothing when it is quick.

use std::time::{Duration, Instant};

const QUICK: Duration = Duration::from_secs(1);

/// The compilations that processes of a step wait for.
#[derive(Default)]
pub(super) struct Compilations(Vec<Compilation>);

struct Compilation {
    pid: u32,
    path: String,
    size: u64,
    begin: Instant,
    told: bool,
}

impl Compilations {
    pub(super) fn begin(&mut self, pid: u32, path: String, size: u64) {
        self.0.push(Compilation { pid, path, size, begin: Instant::now(), told: false });
    }

    /// To be called now and then.
    pub(super) fn tell(&mut self, say: &dyn Fn(String)) {
        for compilation in self.0.iter_mut().filter(|it| !it.told && it.begin.elapsed() >= QUICK) {
            compilation.told = true;
            let megabytes = compilation.size as f64 / 1e6;
            say(format!("kiln: compiling {} ({megabytes:.1} MB) for this machine, once\n", compilation.path));
        }
    }

    pub(super) fn end(&mut self, pid: u32, say: &dyn Fn(String)) {
        if let Some(at) = self.0.iter().position(|compilation| compilation.pid == pid) {
            let Compilation { path, begin, told, .. } = self.0.swap_remove(at);
            if told {
                say(format!("kiln: compiled {path} in {:.1} s\n", begin.elapsed().as_secs_f64()));
            }
        }
    }
}
