#!/usr/bin/env python3
"""Whether a step gets dearer as the base, the layers, the store, the cache grow: it should not.

    cargo build --release && sudo benchmarks/scenarios/scaling.py [--runs 5] [--only CURVE] [--quick] [--svg FILE] >table.md

Needs a static busybox; as root, native steps mount layers (elsewhere they may have to unpack them once). For each size: what a
trivial native RUN step costs (a build of ten, shared by ten, every step executed), a rebuild of the same where everything
is cached, and `images`. The first builds on a base, which mount it, do not count. Each curve has a store of its own;
nothing is deleted before the end.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import shutil
import statistics
import sys
import tarfile
import tempfile
import time

import machine
from machine import write
from tools import Kiln

STEPS = 10


class Store:
    """A store with a base image of busybox, and what is measured on it."""

    def __init__(self, work, runs):
        self.work, self.runs = work, runs
        work.mkdir(parents=True)
        self.kiln = Kiln(work)
        self.import_tar("base", [])

    def import_tar(self, image, files, shell=True):
        """An image of one layer with these files, 100 bytes each."""
        tar = self.work / f"{image}.tar"
        if shell:
            machine.busybox_tar(tar)
        with tarfile.open(tar, "a" if shell else "w") as archive:
            for name in files:
                entry = tarfile.TarInfo(name)
                entry.size = 100
                archive.addfile(entry, io.BytesIO(name.encode().ljust(100)))
        self.kiln.run("import", str(tar), image)

    def measure(self, base="base"):
        """Milliseconds: a step, a cached rebuild, `images`."""
        context = self.work / "context"
        write(context / "Dockerfile", f"FROM {base}\n" + "".join(f"RUN echo {n} > /r{n}\n" for n in range(STEPS)))

        def medians(command):
            return statistics.median(self.kiln.timed(command)[0] for _ in range(self.runs + 1)) * 1000

        self.kiln.timed(self.kiln.build(context, "--no-cache"))
        step = medians(self.kiln.build(context, "--no-cache")) / STEPS
        built = self.kiln.id()
        cached = medians(self.kiln.build(context))
        if self.kiln.id() != built:
            sys.exit(f"{self.work}: the rebuild was not cached")
        if self.kiln.shell("bench", f"cat /r0 /r{STEPS - 1}") != f"0\n{STEPS - 1}":
            sys.exit(f"{self.work}: the image has other files than it should")
        # A list is remembered only when its store has been at rest for longer than the coarsest clock of file systems.
        time.sleep(2.5)
        return step, cached, medians(self.kiln.command("images", "-q"))


def names(count, prefix):
    return [f"{prefix}/d{n // 1000}/e{n // 100 % 10}/f{n}" for n in range(count)]


def bases(store, sizes):
    for size in sizes:
        store.import_tar(f"base{size}", names(size, "usr"))
        yield size, store.measure(f"base{size}")


def layers(store, sizes):
    for size in sizes:
        context = store.work / "layers"
        for number in range(size):
            write(context / f"f{number}", str(number))
        write(context / "Dockerfile", "FROM base\n" + "".join(f"COPY f{number} /\n" for number in range(size)))
        store.kiln.run("build", "-q", "-t", f"layers{size}", str(context))
        # The base's own layer and those of the steps count.
        yield size + 1 + STEPS, store.measure(f"layers{size}")


def images(store, sizes):
    there = 0
    for size in sizes:
        archive = store.work / f"images{size}.tar"
        with tarfile.open(archive, "w") as out:

            def add(name, data):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                out.addfile(entry, io.BytesIO(data))

            layer = bytes(10240)
            diff_id = hashlib.sha256(layer).hexdigest()
            add("layer.tar", layer)
            manifest = []
            for number in range(there, size):
                config = {"os": "linux", "architecture": "amd64", "author": str(number), "config": {},
                          "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}}
                add(f"{number}.json", json.dumps(config).encode())
                manifest.append({"Config": f"{number}.json", "RepoTags": [f"many{number}:1"], "Layers": ["layer.tar"]})
            add("manifest.json", json.dumps(manifest).encode())
        if manifest:
            store.kiln.run("load", "-q", "-i", str(archive))
        there = size
        found = len(store.kiln.output("images", "-q").splitlines())
        if found < size:
            sys.exit(f"{found} images are listed instead of {size} and more")
        yield size, store.measure()


def records(store, sizes):
    """Copies of a real record, under keys that no step has."""
    store.measure()
    steps = store.kiln.store / "steps"
    real = next(steps.glob("??/*.json"))
    record = real.read_bytes()
    there = 0
    for size in sizes:
        for number in range(there, size):
            key = hashlib.sha256(str(number).encode()).hexdigest()
            folder = steps / key[:2]
            folder.mkdir(exist_ok=True, mode=0o700)
            (folder / f"{key}.json").write_bytes(record.replace(real.stem.encode(), key.encode()))
        there = size
        yield size, store.measure()


def unrelated(store, sizes):
    for size in sizes:
        if size:
            store.import_tar(f"unrelated{size}", names(size, "other"), shell=False)
        yield size, store.measure()


CURVES = {
    "bases": ("files in the base", bases, [0, 1_000, 10_000, 100_000]),
    "layers": ("layers of the image", layers, [0, 9, 39, 76, 116]),
    "images": ("images in the store", images, [0, 100, 1_000, 10_000]),
    "records": ("step records in the store", records, [0, 1_000, 10_000, 100_000]),
    "unrelated": ("files in the newest unrelated layer", unrelated, [0, 10_000, 100_000]),
}


def svg(curves):
    """The cost of a step and of a rebuild, each curve beginning at its smallest size = 1; sizes in logarithmic steps."""
    parts, colours = [], ["#1b6ca8", "#c0392b", "#27813b", "#8e44ad", "#b9770e"]
    for chart, (title, column) in enumerate((("a RUN step", 0), ("a cached rebuild", 1))):
        left, bottom, width, height = 60 + chart * 420, 300, 330, 240
        parts.append(f'<text x="{left}" y="30" font-size="15">{title}: cost, smallest size = 1</text>')
        for level in range(5):
            y = bottom - level * height / 4
            parts.append(f'<path d="M{left} {y}h{width}" stroke="#ddd"/><text x="{left - 30}" y="{y + 4}">{level}×</text>')
        for number, (name, points) in enumerate(curves.items()):
            first = points[0][1][column]
            spots = [(left + width * place / (len(points) - 1 or 1), bottom - min(figures[column] / first, 4.2) * height / 4)
                     for place, (_, figures) in enumerate(points)]
            line = " ".join(f"{x:.0f},{y:.0f}" for x, y in spots)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colours[number]}" stroke-width="2"/>')
            if chart == 0:
                parts.append(f'<text x="{60 + number % 3 * 270}" y="{340 + number // 3 * 20}" fill="{colours[number]}">'
                             f"{CURVES[name][0]}: {points[0][0]:,} … {points[-1][0]:,}</text>")
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="380" font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=CURVES, action="append")
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the sizes: whether it works, not how fast")
    parser.add_argument("--svg", type=pathlib.Path, help="draw the curves, too")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--patience", type=int, default=60, help="seconds to wait for the disk before a curve")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.patience = 1, 0
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-bench-", dir=options.work))
    drawn = {}
    try:
        print(f"{machine.description()}. Limits: {machine.all_limits(work)}.\n")
        print("| what grows | size | a RUN step | a cached rebuild of 10 steps | `images` |\n|---|---|---|---|---|")
        for name in options.only or CURVES:
            title, curve, sizes = CURVES[name]
            machine.settle(work, options.patience)
            if options.quick and name != "layers":
                sizes = sorted({size // 10 for size in sizes})
            drawn[name] = []
            for size, figures in curve(Store(work / name, options.runs), sizes):
                drawn[name].append((size, figures))
                cells = " | ".join(f"{figure:.1f} ms" for figure in figures)
                print(f"| {title} | {size:,} | {cells} |", flush=True)
        if options.svg:
            options.svg.write_text(svg(drawn))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
