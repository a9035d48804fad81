//! What one step of `true` costs, from prepared directories to the change set.

use std::fs;
use std::time::{Duration, Instant};

use kiln_exec::{Executor, Network};

use crate::host::{Host, process};

const STEPS: u32 = 300;

pub(crate) fn run(host: &Host) {
    let empty = process(&["true"]);
    let mut alone = process(&["true"]);
    alone.network = Network::None;
    let mut shell = process(&["/bin/sh", "-c", "true"]);
    shell.network = Network::Host;
    for (name, process) in [("true", &empty), ("true, no network", &alone), ("sh -c true", &shell)] {
        host.run(&host.base_view(), process).expect("runs");
        let mut times: Vec<Duration> = (0..STEPS)
            .map(|_| {
                let start = Instant::now();
                host.run(&host.base_view(), process).expect("runs");
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
        println!("{name:18} ({:?}): least {:.2} ms, median {:.2} ms, 90 % {:.2} ms", host.ids, at(0), at(50), at(90));
    }
    let start = Instant::now();
    fs::create_dir(host.temporary.path().join("one")).expect("directory");
    println!("for comparison, one mkdir: {:.2} ms; {}", start.elapsed().as_secs_f64() * 1e3, host.executor.abi());
}
