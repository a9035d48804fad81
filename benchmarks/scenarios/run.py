#!/usr/bin/env python3
"""Whole builds with kiln and, in turn with it, with buildah: wall time, processor time, peak memory.

    cargo build --release && sudo benchmarks/scenarios/run.py [--runs 5] [--only NAME] [--quick]

Needs root (buildah's overlay storage), a static busybox (Debian: busybox-static), buildah with runc, and for the scenario
`base300` a Debian root filesystem tar (mmdebstrap --variant=minbase bookworm FILE; give --debian FILE).
Each pair of runs is kiln, then buildah; medians and the ratio of medians are printed as a Markdown table, with the limits
of the machine measured in the same run. Every store is made anew below --work and removed at the end.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KILN = ROOT / "target/release/kiln"


def timed(command, env, expect=0):
    """Runs a command; seconds of wall and processor, peak memory in MiB of its largest process."""
    log = tempfile.TemporaryFile()
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != expect:
        log.seek(0)
        sys.exit(f"{command} ended with {child.returncode}:\n{log.read().decode(errors='replace')[-4000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


class Kiln:
    name = "kiln"

    def __init__(self, work):
        self.env = os.environ | {"KILN_ROOT": str(work / "kiln-store")}

    def build(self, context, *options):
        return [KILN, "build", "-t", "bench", *options, str(context)]

    def import_base(self, tar, name):
        return timed([KILN, "import", str(tar), name], self.env)


class Buildah:
    name = "buildah"

    def __init__(self, work):
        self.env = dict(os.environ)
        self.storage = ["--root", str(work / "buildah-root"), "--runroot", str(work / "buildah-run")]
        # Untrusted defaults of the host (registries, policy) play no part: every image is made here.
        policy = work / "policy.json"
        policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        self.policy = ["--signature-policy", str(policy)]
        # crun, the packages' default, refuses hosts with both cgroup hierarchies.
        self.runtime = ["--runtime", "runc"] if shutil.which("runc") else []

    def build(self, context, *options):
        return ["buildah", *self.storage, "build", *self.policy, *self.runtime, "--layers", "-t", "bench", *options,
                str(context)]

    def import_base(self, tar, name):
        script = f"""
            set -e
            b="buildah {' '.join(self.storage)}"
            c=$($b from scratch); $b add -q $c {tar} / >/dev/null; $b commit {' '.join(self.policy)} -q $c {name} >/dev/null; $b rm $c >/dev/null
        """
        return timed(["sh", "-c", script], self.env)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def busybox_tar(work):
    tar = work / "busybox.tar"
    tools = ["sh", "true", "echo", "cat", "ls", "mkdir", "rm", "id"]
    with tarfile.open(tar, "w") as archive:
        archive.add("/bin/busybox", "bin/busybox")
        for tool in tools:
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return tar


def many_files(directory, count):
    for number in range(count):
        write(directory / f"d{number // 500}" / f"f{number}", f"file {number}\n" * 20)


def scenario_cached(work, quick):
    context = work / "cached"
    many_files(context / "files", 1000)
    lines = ["FROM busybox"] + [f"ENV V{n}={n}" for n in range(8)] + ["COPY files /files"]
    lines += [f"RUN echo {n} > /r{n}" for n in range(10)] + ['CMD ["/bin/sh"]']
    write(context / "Dockerfile", "\n".join(lines[:21]) + "\n")
    return context, [], True


def scenario_run20(work, quick):
    context = work / "run20"
    write(context / "Dockerfile", "FROM busybox\n" + "".join(f"RUN echo {n} > /r{n}\n" for n in range(20)))
    return context, ["--no-cache"], False


def scenario_meta20(work, quick):
    context = work / "meta20"
    write(context / "Dockerfile", "FROM busybox\n" + "".join(f"ENV V{n}={n}\n" for n in range(20)))
    return context, ["--no-cache"], False


def scenario_copy50k(work, quick):
    context = work / "copy50k"
    many_files(context / "files", 5000 if quick else 50000)
    write(context / "Dockerfile", "FROM busybox\nCOPY files /files\n")
    return context, ["--no-cache"], False


def scenario_copy1g(work, quick):
    context = work / "copy1g"
    context.mkdir()
    with open(context / "big", "wb") as out:
        for _ in range(64 if quick else 1024):
            out.write(os.urandom(1 << 20))
    write(context / "Dockerfile", "FROM busybox\nCOPY big /big\n")
    return context, ["--no-cache"], False


def scenario_base300(work, quick):
    context = work / "base300"
    write(context / "Dockerfile", "FROM base300\nRUN echo x > /x\n")
    return context, ["--no-cache"], False


SCENARIOS = {
    "cached": ("rebuild, everything cached: 20 instructions, 1,000 context files", scenario_cached),
    "run20": ("20 trivial RUN steps", scenario_run20),
    "meta20": ("20 metadata instructions", scenario_meta20),
    "copy50k": ("COPY of 50,000 small files", scenario_copy50k),
    "copy1g": ("COPY of one file of 1 GiB", scenario_copy1g),
    "base300": ("RUN on a base of 300 MB", scenario_base300),
}


def limits(work):
    """What the machine can do at best, in the units of the table."""
    # Small blocks: a child's peak memory counts from its parent's at the fork.
    block = os.urandom(1 << 20)
    hasher = hashlib.sha256()
    start = time.perf_counter()
    for _ in range(256):
        hasher.update(block)
    sha = 256 / (time.perf_counter() - start)
    path = work / "limit"
    start = time.perf_counter()
    with open(path, "wb") as out:
        for _ in range(512):
            out.write(block)
    cached = 512 / (time.perf_counter() - start)
    start = time.perf_counter()
    fd = os.open(path, os.O_RDWR)
    os.fsync(fd)
    os.close(fd)
    synced = 512 / (512 / cached + time.perf_counter() - start)
    path.unlink()
    return f"SHA-256 {sha:.0f} MiB/s, page-cache write {cached:.0f} MiB/s, write and fsync {synced:.0f} MiB/s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--quick", action="store_true", help="smaller inputs: whether it works, not how fast")
    parser.add_argument("--debian", type=pathlib.Path, help="root filesystem tar for base300")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    if not KILN.exists():
        sys.exit(f"{KILN} is missing: cargo build --release")
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-bench-", dir=options.work))
    try:
        run(options, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run(options, work):
    builders = [Kiln(work)]
    if shutil.which("buildah"):
        builders.append(Buildah(work))
    else:
        print("buildah is not installed: kiln alone is measured", file=sys.stderr)
    print(f"{os.cpu_count()} processors, Linux {os.uname().release}; {limits(work)}\n")
    busybox = busybox_tar(work)
    for builder in builders:
        builder.import_base(busybox, "busybox")
    print("| scenario | " + " | ".join(f"{b.name}: wall, cpu, peak memory" for b in builders) + " | ratio |")
    print("|---|" + "---|" * (len(builders) + 1))
    for key in options.only or SCENARIOS:
        title, prepare = SCENARIOS[key]
        if key == "base300":
            if not options.debian:
                print(f"| {title} | skipped: needs --debian FILE |")
                continue
            base = work / "base300.tar"
            shutil.copy(options.debian, base)
            filler = work / "filler"
            with open(filler, "wb") as out:
                for _ in range((300_000_000 - base.stat().st_size) >> 20):
                    out.write(os.urandom(1 << 20))
            with tarfile.open(base, "a") as archive:
                archive.add(filler, "filler")
            first = []
            context, flags, _ = prepare(work, options.quick)
            for builder in builders:
                imported = builder.import_base(base, "base300")
                ran = timed(builder.build(context, *flags), builder.env)
                first.append((imported[0], ran[0]))
            cells = [f"import {i:.2f} s + first RUN {r * 1000:.0f} ms" for i, r in first]
            ratio = f"{sum(first[1]) / sum(first[0]):.1f}×" if len(first) > 1 else ""
            print(f"| a base of 300 MB comes in, first RUN on it | " + " | ".join(cells) + f" | {ratio} |", flush=True)
        else:
            context, flags, warm = prepare(work, options.quick)
            if warm:
                for builder in builders:
                    timed(builder.build(context), builder.env)
        results = {builder.name: [] for builder in builders}
        for number in range(options.runs + 1):
            for builder in builders:
                figures = timed(builder.build(context, *flags), builder.env)
                if number > 0:
                    results[builder.name].append(figures)
        cells, walls = [], []
        for builder in builders:
            wall, cpu, memory = (statistics.median(column) for column in zip(*results[builder.name]))
            walls.append(wall)
            cells.append(f"{wall * 1000:.0f} ms, {cpu * 1000:.0f} ms, {memory:.0f} MiB")
        ratio = f"{walls[1] / walls[0]:.1f}×" if len(walls) > 1 else ""
        print(f"| {title} | " + " | ".join(cells) + f" | {ratio} |", flush=True)
        if key.startswith("copy"):
            shutil.rmtree(context)


if __name__ == "__main__":
    main()
