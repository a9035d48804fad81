#!/usr/bin/env python3
"""RUN steps under WASI: what a step, a pipeline and a process cost, tools beside the native ones, compiling.

    cargo build --release && benchmarks/scenarios/wasi.py [--runs 5] [--only NAME] [--quick]

Needs no root. Native tools are those of this machine (GNU's, with LC_ALL=C); `python` needs images/python-fixture/fetch.
What each scenario makes is checked before its time counts. Medians; every store is made anew below --work.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from machine import KILN, ROOT, limits, write
from measure import timed


class Bench:
    def __init__(self, work, runs, quick):
        self.work, self.runs, self.quick = work, runs, quick
        self.env = self.store("store")

    def store(self, name):
        """The environment of kiln with a store of that name."""
        names = {"KILN_ROOT": str(self.work / name), "LC_ALL": "C"}
        return {k: v for k, v in os.environ.items() if not k.startswith("KILN_")} | names

    def build(self, name, dockerfile, *options, env=None):
        """One build; wall, cpu, memory."""
        context = self.work / "contexts" / name
        write(context / "Dockerfile", dockerfile)
        return timed([KILN, "build", "--executor", "wasi", "-t", name, *options, str(context)], env or self.env)

    def repeated(self, name, dockerfile):
        """Medians of builds that execute every step, after one that warms up."""
        runs = [self.build(name, dockerfile, "--no-cache") for _ in range(self.runs + 1)][1:]
        return tuple(statistics.median(column) for column in zip(*runs))

    def expect(self, image, path, expected, env=None):
        """The image's file has this content, or the figures are worth nothing."""
        command = [KILN, "run", image, "cat", path]
        found = subprocess.run(command, env=env or self.env, capture_output=True, check=True).stdout
        if found != expected:
            sys.exit(f"{image}: {path} has {found[:200]!r} instead of {expected[:200]!r}")

    def per_step(self, name, command, expected, fewer=20, more=40):
        """Milliseconds of one step more: starting kiln, planning and publishing drop out."""
        lines = [f"RUN {command.format(n=n)}\n" for n in range(more)]
        few = self.repeated(name, "FROM scratch\n" + "".join(lines[:fewer]))
        many = self.repeated(name, "FROM scratch\n" + "".join(lines))
        self.expect(name, f"/f{more - 1}", expected)
        each = (many[0] - few[0]) / (more - fewer) * 1000
        return f"{each:.2f} ms a step", f"{more} steps: {show(many)}"

    def beside_native(self, name, base, command, native, tree):
        """A tool in a step beside the same of this machine, on the same files in the page cache."""
        empty = self.repeated("nothing", f"FROM {base}\nRUN echo > /out\n")
        guest = self.repeated(name, f"FROM {base}\nRUN {command} > /out\n")
        times = []
        for _ in range(self.runs + 1):
            start = time.perf_counter()
            out = subprocess.run(["sh", "-c", native], cwd=tree, env=self.env, capture_output=True, check=True).stdout
            times.append(time.perf_counter() - start)
        self.expect(name, "/out", out)
        own, host = guest[0] - empty[0], statistics.median(times[1:])
        return f"{own:.2f} s, native {host:.2f} s: {own / host:.1f}×", f"whole build: {show(guest)}"


def show(figures):
    wall, cpu, memory = figures
    return f"{wall * 1000:.0f} ms, cpu {cpu * 1000:.0f} ms, {memory:.0f} MiB"


def step(bench):
    return bench.per_step("step", "echo x > /f{n}", b"x\n")


def pipeline(bench):
    return bench.per_step("pipeline", "seq 1000 | grep 7 | wc -l > /f{n}", b"271\n")


def spawns(bench):
    count = 100 if bench.quick else 1000
    # What the shell does not do within itself: each is a process of its own.
    loop = f"i=0; while [ $i -lt {count} ]; do sha256sum < /dev/null; i=$((i + 1)); done"
    none = bench.repeated("nothing", "FROM scratch\nRUN echo > /out\n")
    some = bench.repeated("spawns", f"FROM scratch\nRUN {loop} > /out\n")
    bench.expect("spawns", "/out", f"{hashlib.sha256().hexdigest()}  -\n".encode() * count)
    return f"{(some[0] - none[0]) / count * 1000:.2f} ms each", f"{count} of them: {show(some)}"


def copied(bench, name, tree):
    """An image with the files of `tree` in /tree."""
    write(tree.parent / "Dockerfile", f"FROM scratch\nCOPY {tree.name} /tree\n")
    timed([KILN, "build", "-t", name, str(tree.parent)], bench.env)


def grep(bench):
    tree = bench.work / "text/tree"
    files = 200 if bench.quick else 2000
    words = [hashlib.sha256(str(n).encode()).hexdigest()[: 4 + n % 9] for n in range(4096)]
    for number in range(files):
        # 100 kB each, a needle in every tenth.
        lines = [" ".join(words[(number * 31 + line * 7 + word) % 4096] for word in range(9)) for line in range(1200)]
        if number % 10 == 0:
            lines[number % 1200] += " needle in here"
        write(tree / f"d{number // 100}/f{number}", ("\n".join(lines) + "\n")[:100_000])
    copied(bench, "text", tree)
    return bench.beside_native("grep", "text", "cd /tree && grep -r 'needle in' . | sort", "grep -r 'needle in' . | sort", tree)


def sha256sum(bench):
    tree = bench.work / "big/tree"
    tree.mkdir(parents=True)
    with open(tree / "file", "wb") as out:
        for _ in range(64 if bench.quick else 1024):
            out.write(os.urandom(1 << 20))
    copied(bench, "big", tree)
    return bench.beside_native("sha256sum", "big", "cd /tree && sha256sum file", "sha256sum file", tree)


def find(bench):
    tree = bench.work / "many/tree"
    for number in range(10_000 if bench.quick else 100_000):
        directory = tree / f"d{number // 1000}/e{number // 100 % 10}"
        if number % 100 == 0:
            directory.mkdir(parents=True)
        (directory / f"f{number}").touch()
    copied(bench, "many", tree)
    command = "find . -type f -name '*77' | sort"
    return bench.beside_native("find", "many", f"cd /tree && {command}", command, tree)


def in_new_stores(bench, name, build):
    """Medians of what `build` measures, each time in a store that has compiled nothing."""
    runs = []
    for number in range(bench.runs):
        env = bench.store(f"{name}-{number}")
        runs.append(build(env))
        shutil.rmtree(env["KILN_ROOT"])
    return tuple(statistics.median(column) for column in zip(*runs))


def first(bench):
    def build(env):
        figures = bench.build("first", "FROM scratch\nRUN echo x > /f\n", env=env)
        bench.expect("first", "/f", b"x\n", env)
        return figures

    figures = in_new_stores(bench, "first", build)
    return f"{figures[0]:.2f} s", show(figures)


def tools(bench):
    def build(env):
        bench.build("first", "FROM scratch\nRUN echo x > /f\n", env=env)
        figures = bench.build("tools", "FROM scratch\nRUN seq 3 > /f\n", env=env)
        bench.expect("tools", "/f", b"1\n2\n3\n", env)
        return figures

    figures = in_new_stores(bench, "tools", build)
    return f"{figures[0]:.2f} s", show(figures)


def python(bench):
    package = ROOT / "images/python-fixture/python.tgz"
    if not package.exists():
        return "skipped", "needs images/python-fixture/fetch"
    context = bench.work / "contexts/python"
    context.mkdir(parents=True, exist_ok=True)
    shutil.copy(package, context)
    base = "FROM scratch AS p\nADD python.tgz /\nFROM scratch\nCOPY --from=p --chmod=755 /package/dist/python.wasm /python\n"

    def build(env):
        bench.build("python", base, env=env)
        figures = bench.build("python", base + "RUN [\"/python\", \"-c\", \"open('/f', 'w').write('x')\"]\n", env=env)
        bench.expect("python", "/f", b"x", env)
        return figures

    figures = in_new_stores(bench, "python", build)
    again = bench.repeated("python", base + "RUN [\"/python\", \"-c\", \"open('/f', 'w').write('x')\"]\n")
    return f"{figures[0]:.1f} s", f"{show(figures)}; compiled before: {show(again)}"


def binary(bench):
    return f"{KILN.stat().st_size / (1 << 20):.1f} MiB", "tools and compiler included"


SCENARIOS = {
    "step": ("a warm step: `RUN echo x > /f`", step),
    "pipeline": ("a warm pipeline of three tools", pipeline),
    "spawns": ("a process started by the shell, in a row", spawns),
    "grep": ("grep -r over 200 MB in 2,000 files", grep),
    "sha256sum": ("sha256sum of 1 GiB", sha256sum),
    "find": ("find over 100,000 files", find),
    "first": ("first step in a new store: compiles sh", first),
    "tools": ("first step there that needs a tool: compiles the tools", tools),
    "python": ("first step with python.wasm (26 MB): compiles it", python),
    "binary": ("size of kiln", binary),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--quick", action="store_true", help="smaller inputs: whether it works, not how fast")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    if not KILN.exists():
        sys.exit(f"{KILN} is missing: cargo build --release")
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-bench-", dir=options.work))
    try:
        print(f"{os.cpu_count()} processors, Linux {os.uname().release}; {limits(work)}\n")
        print("| WASI | result | wall, processor time and peak memory behind it |\n|---|---|---|")
        for name in options.only or SCENARIOS:
            title, scenario = SCENARIOS[name]
            result, behind = scenario(Bench(work / name, options.runs, options.quick))
            print(f"| {title} | {result} | {behind} |", flush=True)
            shutil.rmtree(work / name, ignore_errors=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
