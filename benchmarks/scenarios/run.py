#!/usr/bin/env python3
"""Whole builds with kiln and with each peer on this machine, in turn: time, memory, bytes written, syncing calls.

    cargo build --release && sudo benchmarks/scenarios/run.py [--docker] [--runs 3] [--only NAME] [--quick] >table.md

Needs root and a static busybox (Debian: busybox-static). Peers are measured where they are installed (Debian's packages
of these names): buildah and podman (with runc), docker.io (classic builder and BuildKit). kiln, buildah and podman need
nothing running. For docker either give --docker: a dockerd is started with socket, data and containerd of its own below
the working folder, and stopped at the end; or --docker-host unix:///var/run/docker.sock for one that runs. Its daemon's
processor time counts, too.

All tools build the same contexts, one after the other within each round, RUN steps without network; the first round warms
up and does not count. Before a tool's turn everything is written out, and a moment goes by: what the kernel still does for
the tool before (mounts and namespaces taken apart, dirty pages) is not the next one's. A tool that needs less than a
second builds twice in its turn, and the second build counts: a processor that has just worked for another is cold for a
while. Each result is checked (contents, counts, ids) before its time is told. Then each tool builds once more, watched:
peak memory of all its processes together, bytes written, and how often it waits for the disk (fsync and its kin, if perf
is installed). Peers that need more than 5 seconds have one counted round.

Nothing is deleted before the end, and the disk is waited for: ext4 creates files slowly for a while after many were removed.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

import builds
import machine
import tools

SLOW, QUICK = 5, 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=builds.SCENARIOS, action="append")
    parser.add_argument("--tools", type=lambda text: text.split(","), help="which peers, of buildah,podman")
    parser.add_argument("--quick", action="store_true", help="one round and small inputs: whether it works, not how fast")
    parser.add_argument("--docker", action="store_true", help="start a dockerd for the time of the run")
    parser.add_argument("--docker-host", help="use this dockerd")
    parser.add_argument("--debian", type=pathlib.Path, help="root filesystem tar to use as the big base (default: a made-up one)")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--patience", type=int, default=60, help="seconds to wait for the disk before a scenario")
    options = parser.parse_args()
    if not machine.KILN.exists():
        sys.exit(f"{machine.KILN} is missing: cargo build --release")
    if options.quick:
        options.runs, options.patience = 1, 0
    builds.FirstRun.base = builds.RunOnBase.base = options.debian
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-bench-", dir=options.work))
    daemon = None
    try:
        if options.docker or options.docker_host:
            daemon = tools.Daemon(work, options.docker_host)
        measure(options, work, tools.found(work, daemon, options.tools))
    finally:
        if daemon:
            daemon.stop()
        machine.remove(work)


def measure(options, work, present):
    print(f"{machine.description()}; {', '.join(tool.version() for tool in present)}.")
    machine.settle(work, options.patience)
    print(f"Limits: {machine.all_limits(work)}.\n", flush=True)
    busybox = machine.busybox_tar(work / "busybox.tar")
    for tool in present:
        tool.import_base(busybox, "busybox")
    summary, details = [], []
    for name in options.only or builds.SCENARIOS:
        scenario = builds.SCENARIOS[name](work / name, options.quick)
        machine.settle(work, options.patience)
        limit, made_of = scenario.limit()
        results = rounds(scenario, options.runs, [tool for tool in present if scenario.only in (None, tool.name)])
        summary.append(summarise(scenario, results, limit, made_of))
        details += [detail(scenario, tool, figures) for tool, figures in results.items()]
        print(f"{name}: done", file=sys.stderr, flush=True)
    print("| scenario | kiln | best peer | ratio (aim) | limit | to the limit (aim) |\n|---|---|---|---|---|---|")
    print("\n".join(summary))
    print("\n| scenario | tool | wall: median (least to most, rounds) | cpu | peak memory | written | syncs |\n|---|---|---|---|---|---|---|")
    print("\n".join(details))


class Figures:
    def __init__(self):
        self.walls, self.cpus, self.slow, self.quick, self.watched = [], [], False, False, None

    def wall(self):
        return statistics.median(self.walls)


def rounds(scenario, runs, present):
    """Each tool's figures, in rounds; what was built last is checked."""
    results = {tool: Figures() for tool in present}
    if scenario.needs_cache:
        for tool in present:
            tool.timed(scenario.command(tool, 0))
    for number in range(runs + 1):
        for tool, figures in results.items():
            if figures.slow and len(figures.walls) > 0:
                continue
            machine.rest()
            if number > 0 and figures.quick:
                scenario.before(tool, f"{number}-uncounted")
                tool.timed(scenario.command(tool, number))
            scenario.before(tool, number)
            wall, cpu, _ = tool.timed(scenario.command(tool, number))
            if scenario.timed_import:
                wall, cpu = wall + scenario.imported[0], cpu + scenario.imported[1]
            if number == 0:
                figures.slow, figures.quick = wall > SLOW and tool.name != "kiln", wall < QUICK
                scenario.check(tool)
                continue
            figures.walls.append(wall)
            figures.cpus.append(cpu)
    for tool, figures in results.items():
        scenario.before(tool, runs + 1)
        figures.watched = tool.observed(scenario.command(tool, runs + 1))
        scenario.check(tool)
    return results


def time_of(seconds):
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 20 else f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{seconds:.1f} s"


def size_of(number):
    return f"{number / machine.MIB:.1f} MiB" if number < 100 * machine.MIB else f"{number / machine.MIB:.0f} MiB"


def summarise(scenario, results, limit, made_of):
    walls = {tool.name: figures.wall() / scenario.per for tool, figures in results.items()}
    own = walls.pop("kiln")
    best = min(walls, key=walls.get, default=None)
    peer = f"{time_of(walls[best])} ({best})" if best else "–"
    ratio = f"{walls[best] / own:.1f}×" if best else "–"
    aim = f" ({scenario.peer})" if scenario.peer else ""
    bound = f"{time_of(limit)}: {made_of}" if limit else "–"
    near = f"{own / limit:.2f}×" if limit else "–"
    return f"| {scenario.title} | {time_of(own)} | {peer} | {ratio}{aim} | {bound} | {near} ({scenario.own}) |"


def detail(scenario, tool, figures):
    walls = [wall / scenario.per for wall in figures.walls]
    spread = f"{time_of(figures.wall() / scenario.per)} ({time_of(min(walls))} to {time_of(max(walls))}, {len(walls)})"
    memory, written, syncs = figures.watched
    cpu = time_of(statistics.median(figures.cpus) / scenario.per)
    return (
        f"| {scenario.title} | {tool.name} | {spread} | {cpu} | {memory:.0f} MiB | {size_of(written)} | "
        f"{'?' if syncs is None else syncs} |"
    )


if __name__ == "__main__":
    main()
