#!/usr/bin/env python3
"""Containers: how long one takes to start and end, and what one costs that waits; beside podman, docker, crun and runc.

    cargo build --release && sudo benchmarks/scenarios/containers.py [--docker] [--runs 20] [--only NAME] [--quick]

Needs root, a static busybox, and for comparison podman, runc, crun (Debian's packages of these names). runc and crun get a
bundle that was made before: their figures are those of a bare runtime, without images, names, logs or a supervisor. No
container has a network. A tool that cannot run containers on this host is left out, and the reason is told.
Medians; the tools take turns; what a container says is checked before a time counts.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import machine
import tools
from machine import write
from measure import field, timed

NAME = "bench-waits"


class Engine:
    """kiln, podman or docker: an image, and commands that have the same names everywhere."""

    def __init__(self, tool, busybox):
        self.tool, self.name = tool, "docker" if tool.daemon else tool.name
        self.options = [word for word in tool.run_options if word != "--rm"]
        tool.import_base(busybox, "busybox")

    def once(self, *words):
        """A container that runs the words in the foreground and goes."""
        return self.tool.command("run", "--rm", *self.options, "busybox", *words)

    def begin(self):
        """A container that waits, under a name."""
        self.tool.output("run", "-d", "--name", NAME, *self.options, "busybox", "sleep", "1000")

    def end(self):
        self.tool.output("rm", "-f", NAME)

    def exec(self):
        return self.tool.command("exec", NAME, "true")

    def start_and_stop(self):
        """Starts and stops the container under that name once; wall and processor time."""
        return [sum(pair) for pair in zip(*(self.tool.run(*words) for words in (("stop", "-t", "0", NAME), ("start", NAME))))]

    @property
    def env(self):
        return self.tool.env


class Runtime:
    """runc or crun, with a bundle."""

    def __init__(self, name, work, busybox):
        self.name, self.bundle, self.state = name, work / f"{name}-bundle", work / f"{name}-state"
        self.env = None
        (self.bundle / "rootfs").mkdir(parents=True)
        subprocess.run(["tar", "-C", self.bundle / "rootfs", "-xf", busybox], check=True)
        for place in ("proc", "sys", "dev"):
            (self.bundle / "rootfs" / place).mkdir(exist_ok=True)
        subprocess.run([name, "spec", "--bundle", self.bundle], check=True)
        self.config = json.loads((self.bundle / "config.json").read_text())
        self.config["process"]["terminal"] = False

    def once(self, *words):
        self.config["process"]["args"] = list(words)
        write(self.bundle / "config.json", json.dumps(self.config))
        return [self.name, "--root", str(self.state), "run", "--bundle", str(self.bundle), "bench"]


def usable(tool):
    """Whether it runs containers on this host; tells if it does not."""
    done = subprocess.run(tool.once("echo", "works"), env=tool.env, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip() == "works":
        return True
    reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    print(f"{tool.name} is left out: it runs no containers here: {reason[:200]}", file=sys.stderr)
    return False


class Bench:
    def __init__(self, work, present, runs, quick):
        self.work, self.tools, self.runs = work, present, runs
        self.many = 10 if quick else 100

    def engines(self):
        return [tool for tool in self.tools if isinstance(tool, Engine)]

    def row(self, title, turns, tell):
        """One line of the table. `turns`: what measures each tool once, or `None`."""
        results = {tool.name: [] for tool, turn in turns if turn}
        for number in range(self.runs + 1):
            for tool, turn in turns:
                figures = turn() if turn else None
                if figures and number > 0:
                    results[tool.name].append(figures)
        cells, first = [], None
        for tool, turn in turns:
            if not turn:
                cells.append("–")
                continue
            figures = [statistics.median(column) for column in zip(*results[tool.name])]
            ratio = f", **{figures[0] / first:.1f}×**" if first else ""
            first = first or figures[0]
            cells.append(tell(*figures) + ratio)
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def times(wall, cpu, *_):
    return f"{wall * 1000:.1f} ms, cpu {cpu * 1000:.1f} ms"


def run_once(bench):
    """A container from nothing to gone."""

    def turn(tool):
        command = tool.once("true")
        return lambda: tool.tool.timed(command) if isinstance(tool, Engine) else timed(command, tool.env)

    # Each runtime has one configuration, which holds what is run.
    bench.row("`run --rm IMAGE true`", [(tool, turn(tool)) for tool in bench.tools], times)


def run_many(bench):
    """As many in a row, by a shell, as a script would start them."""

    def turn(tool):
        words = tool.once("true")
        loop = ["sh", "-ec", f'for i in $(seq {bench.many}); do "$@"; done', "sh", *words]

        def measure():
            measured = tool.tool.timed(loop) if isinstance(tool, Engine) else timed(loop, tool.env)
            return [figure / bench.many for figure in measured[:2]]

        return measure

    once = Bench(bench.work, bench.tools, min(bench.runs, 3), False)
    once.row(f"the same, one of {bench.many} in a row", [(tool, turn(tool)) for tool in bench.tools], times)


def with_waiting(bench, title, turn, tell):
    """Figures of a container that waits; runtimes alone have no names for one."""
    for engine in bench.engines():
        engine.begin()
    try:
        bench.row(title, [(tool, turn(tool) if isinstance(tool, Engine) else None) for tool in bench.tools], tell)
    finally:
        for engine in bench.engines():
            engine.end()


def execute(bench):
    with_waiting(bench, "`exec` of `true` in one that runs", lambda tool: lambda: tool.tool.timed(tool.exec()), times)


def start_and_stop(bench):
    with_waiting(bench, "`stop -t 0` and `start`", lambda tool: tool.start_and_stop, times)


def memory(bench):
    """What a container costs that does nothing: its processes and those that look after it; daemons are not counted."""
    cells = []
    for tool in bench.tools:
        if not isinstance(tool, Engine):
            cells.append("–")
            continue
        before = processes()
        tool.begin()
        time.sleep(1)
        new = processes() - before
        sizes = [size for pid in new if (size := field(pid, "smaps_rollup", "Pss"))]
        tool.end()
        time.sleep(1)
        cells.append(f"{sum(sizes) / 1024:.1f} MiB, {len(sizes)} processes")
    print("| one that waits: memory (PSS), processes | " + " | ".join(cells) + " |", flush=True)


def processes():
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


SCENARIOS = {"once": run_once, "many": run_many, "exec": execute, "restart": start_and_stop, "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--quick", action="store_true", help="few rounds: whether it works, not how fast")
    parser.add_argument("--docker", action="store_true", help="start a dockerd for the time of the run")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    if not machine.KILN.exists():
        sys.exit(f"{machine.KILN} is missing: cargo build --release")
    runs = 2 if options.quick else options.runs
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-bench-", dir=options.work))
    daemon = None
    try:
        if options.docker:
            daemon = tools.Daemon(work)
        present = [tool for tool in found(work, daemon) if usable(tool)]
        machine.settle(work, 0 if options.quick else 60)
        print(f"{machine.description()}; unshare + overlay + exec {machine.container_time(work) * 1000:.1f} ms\n")
        print("| what | " + " | ".join(tool.name for tool in present) + " |\n|---|" + "---|" * len(present), flush=True)
        for name in options.only or SCENARIOS:
            SCENARIOS[name](Bench(work, present, runs, options.quick))
    finally:
        if daemon:
            daemon.stop()
        machine.remove(work)


def found(work, daemon):
    """kiln first, then whatever is on this machine."""
    busybox = machine.busybox_tar(work / "busybox.tar")
    engines = [tools.Kiln(work)]
    engines += [tools.Podman(work)] if shutil.which("podman") else []
    engines += [tools.Docker(work, daemon)] if daemon else []
    present = [Engine(tool, busybox) for tool in engines]
    return present + [Runtime(name, work, busybox) for name in ("runc", "crun") if shutil.which(name)]


if __name__ == "__main__":
    main()
