#!/usr/bin/env python3
"""Where a build's processor time goes: kiln's scenarios under perf, one table for each.

    cargo build --release && sudo benchmarks/scenarios/profile.py [--only NAME] [--quick] >profile.md

Needs perf (Debian: linux-perf) and what run.py needs. Every sample is given to the innermost function on its stack that
the table of phases below knows. Processor time only: who waits, for the disk or for a command, is not sampled; the line
above each table has the wall time.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import builds
import machine
import tools

# The first that fits counts, from the innermost function outwards.
PHASES = [(phase, re.compile(pattern)) for phase, pattern in (
    ("SHA-256", r"sha2::"),
    ("syncing", r"fsync|fdatasync|sync_file_range|Writeback"),
    ("removing", r"remove_tree|remove_dir|remove_file|Emptying|unlinkat|rmdir"),
    ("layer: read, render, write", r"kiln_image::write|write_layer|segment::|context::host_file|open_same"),
    ("what a step changed", r"scan_upper|directory::scan|xattrs::"),
    ("context: names and stat", r"context::scan|stat_unchecked|readdir|getdents|ReadDir"),
    ("digests of known files", r"hash_records|hash_cache"),
    ("COPY: which files go where", r"ops::copy|ops::tree|ops::destination"),
    ("parse, check, plan", r"kiln_dockerfile|build::plan|build::check"),
    ("namespaces, mounts, confinement", r"kiln_sys::|exec::namespaces"),
    ("WebAssembly", r"wasmtime|wasm\[|exec::wasi"),
    ("layers: tar and index", r"kiln_image::index|store::layers|image::view"),
    ("records and images", r"store::steps|store::images|store::names|store::files|image::config"),
    ("opening the store", r"store::open|Store::open"),
    ("arguments", r"clap_builder|kiln::cli"),
    ("start of the program", r"dl_main|_dl_|execve|load_elf|lang_start"),
    ("start and end of processes and threads", r"copy_process|kernel_clone|do_exit|exit_mmap|thread_start|start_thread"),
)]
COMMANDS = "sh", "busybox", "mkdir", "sleep"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [name for name in builds.SCENARIOS if name != "version"]
    parser.add_argument("--only", choices=names, action="append")
    parser.add_argument("--quick", action="store_true", help="small inputs")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--patience", type=int, default=60, help="seconds to wait for the disk before a scenario")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-profile-", dir=options.work))
    try:
        kiln = tools.Kiln(work)
        kiln.import_base(machine.busybox_tar(work / "busybox.tar"), "busybox")
        print(f"{machine.description()}; {kiln.version()}.")
        for name in options.only or names:
            scenario = builds.SCENARIOS[name](work / name, options.quick)
            machine.settle(work, options.patience)
            profile(scenario, kiln, work)
    finally:
        machine.remove(work)


def profile(scenario, kiln, work):
    """One build that warms up, one that is timed, and as many under perf as there are samples to be had."""
    walls, phases = [], collections.Counter()
    for number in range(12):
        scenario.before(kiln, number)
        command = scenario.command(kiln, number)
        if number < 2:
            walls.append(kiln.timed(command)[:2])
            continue
        phases += samples(command, kiln.env, work)
        if phases.total() > 3000:
            break
    scenario.check(kiln)
    wall, cpu = walls[1]
    print(f"\n### {scenario.title}\n\n{wall * 1000:.0f} ms, processor time {cpu * 1000:.0f} ms.\n\n| phase | share |\n|---|---|")
    rest = phases.pop("the rest", 0)
    for phase, count in [*phases.most_common(8), ("the rest", rest + sum(phases.values()) - sum(c for _, c in phases.most_common(8)))]:
        print(f"| {phase} | {count / (phases.total() + rest) * 100:.0f} % |")
    sys.stdout.flush()


def samples(command, env, work):
    """How often perf saw each phase."""
    data = work / "perf.data"
    record = ["perf", "record", "-q", "-F", "2000", "-e", "cpu-clock", "--call-graph", "dwarf,8192", "-o", str(data)]
    subprocess.run([*record, *command], env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    script = ["perf", "script", "--no-inline", "-F", "comm,ip,sym", "-i", str(data)]
    text = subprocess.run(script, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode(errors="replace")
    return collections.Counter(phase_of(sample.splitlines()) for sample in text.strip().split("\n\n"))


def phase_of(lines):
    command, stack = lines[0].strip(), [line.strip() for line in lines[1:]]
    if command in COMMANDS:
        return "the command itself"
    for function in stack:
        for phase, pattern in PHASES:
            if pattern.search(function):
                return phase
    return "the rest"


if __name__ == "__main__":
    main()
