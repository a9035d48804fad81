#!/usr/bin/env python3
"""Images on their way: push, pull, save, load, list; with kiln and, in turn with it, with skopeo, podman and docker.

    cargo build --release && sudo benchmarks/scenarios/registry.py [--docker] [--runs 3] [--only NAME] [--quick]

Needs docker-registry, and for comparison skopeo and podman (Debian's packages of these names); root, for podman's
storage. With --docker, a dockerd (Debian: docker.io) is started for the time of the run.
Each push goes to a registry of its own on loopback, from a store that has compressed nothing yet; each pull comes into a
store that is empty. skopeo has no store: an OCI layout on disk stands in for one. podman's and docker's pull and
load unpack what comes, kiln's and skopeo's keep it as it is.
Medians of rounds in which each tool has its turn; results are checked (digests, ids) before a time counts. `limit` is what
the same bytes take at least: through the registry by a bare HTTP client, or copied from file to file.
"""

import argparse
import functools
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time

import tools
from machine import KILN, limits, remove, write
from measure import timed

MIB = 1 << 20


class Registry:
    """docker-registry, on a free port of loopback, with a folder of its own."""

    def __init__(self, place):
        self.place = place
        shutil.rmtree(place, ignore_errors=True)
        write(place / "config.yml", f"""version: 0.1
log: {{level: info, formatter: json, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {place}/data}}}}
http: {{addr: 127.0.0.1:0}}
""")
        with open(place / "log", "wb") as log:
            command = ["docker-registry", "serve", place / "config.yml"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while not (found := re.search(r"listening on (127\.0\.0\.1:\d+)", (place / "log").read_text())):
            if self.process.poll() is not None:
                sys.exit((place / "log").read_text())
            time.sleep(0.01)
        self.host = found[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def get(self, path, accept="*/*"):
        connection = http.client.HTTPConnection(self.host)
        connection.request("GET", path, headers={"Accept": accept})
        return connection.getresponse()

    def layers(self, repository):
        """The diff ids of what was pushed there as `1`, and whether all its blobs are there."""
        kinds = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.load(self.get(f"/v2/{repository}/manifests/1", kinds))
        for blob in manifest["layers"]:
            if int(self.get(f"/v2/{repository}/blobs/{blob['digest']}").headers["content-length"]) != blob["size"]:
                sys.exit(f"{repository}: a layer has another size than its manifest says")
        config = json.load(self.get(f"/v2/{repository}/blobs/{manifest['config']['digest']}"))
        return config["rootfs"]["diff_ids"]

    def upload(self, file):
        """What a bare client takes to bring the bytes of a file."""
        digest = hashlib.sha256()
        with open(file, "rb") as blob:
            while block := blob.read(MIB):
                digest.update(block)
        start = time.perf_counter()
        connection = http.client.HTTPConnection(self.host, blocksize=MIB)
        connection.request("POST", "/v2/limit/blobs/uploads/")
        begun = connection.getresponse()
        begun.read()
        with open(file, "rb") as blob:
            path = f"{begun.headers['location']}&digest=sha256:{digest.hexdigest()}"
            size = os.path.getsize(file)
            connection.request("PUT", path, blob, {"Content-Length": size, "Content-Type": "application/octet-stream"})
            if connection.getresponse().status != 201:
                sys.exit("the registry does not take what a bare client uploads")
        return time.perf_counter() - start, f"/v2/limit/blobs/sha256:{digest.hexdigest()}"

    def download(self, path, file):
        """What a bare client takes to write those bytes to a file."""
        start = time.perf_counter()
        with open(file, "wb") as out:
            shutil.copyfileobj(self.get(path), out, MIB)
        return time.perf_counter() - start


class Kiln:
    name = "kiln"
    # How layers can be sent.
    forms = {"gzip", "zstd", "none"}

    def __init__(self, work):
        self.work, self.store = work, work / "kiln-store"
        foreign = ("KILN_", "DOCKER_", "XDG_")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self.env |= {"KILN_ROOT": str(self.store), "HOME": str(work / "home"), "KILN_CONFIG": str(work / "config.toml")}
        write(work / "config.toml", "")

    def run(self, *arguments):
        return timed([KILN, *map(str, arguments)], self.env)

    def output(self, *arguments):
        return subprocess.run([KILN, *map(str, arguments)], env=self.env, capture_output=True, check=True, text=True).stdout

    def forget(self):
        shutil.rmtree(self.store, ignore_errors=True)

    def prepare(self, image):
        """Makes it, for pushing and saving: no compressed form of its layers is there."""
        self.forget()
        self.run("build", "-q", "-t", "bench:1", image.context)

    def push(self, name, form):
        self.run("tag", "bench:1", name)
        return self.run("push", "--compression", form, name)

    def pull(self, name):
        return self.run("pull", name)

    def save(self, file):
        return self.run("save", "-o", file, "bench:1")

    def load(self, file):
        return self.run("load", "-i", file)

    def layers(self, name):
        return json.loads(self.output("inspect", name))[0]["RootFS"]["Layers"]

    def load_many(self, file):
        self.forget()
        self.run("load", "-i", file)

    def list(self):
        return self.run("images")

    def count(self):
        return len(self.output("images", "-q").splitlines())


class Skopeo:
    name = "skopeo"
    forms = {"gzip", "zstd"}

    def __init__(self, work):
        self.work, self.layout = work, work / "skopeo-layout"
        self.env = os.environ | {"HOME": str(work / "home")}

    def copy(self, source, target, *options):
        tls = ["--src-tls-verify=false"] if source.startswith("docker://") else []
        tls += ["--dest-tls-verify=false"] if target.startswith("docker://") else []
        return timed(["skopeo", "--insecure-policy", "copy", "-q", *tls, *options, source, target], self.env)

    def forget(self):
        shutil.rmtree(self.layout, ignore_errors=True)

    def prepare(self, image):
        self.forget()
        self.load(image.archive)

    def push(self, name, form):
        options = [] if form == "gzip" else ["--dest-compress-format", form]
        return self.copy(f"oci:{self.layout}:1", f"docker://{name}", *options)

    def pull(self, name):
        return self.copy(f"docker://{name}", f"oci:{self.layout}:1")

    def save(self, file):
        return self.copy(f"oci:{self.layout}:1", f"docker-archive:{file}:bench:1")

    def load(self, file):
        return self.copy(f"docker-archive:{file}", f"oci:{self.layout}:1", "--dest-oci-accept-uncompressed-layers")

    def layers(self, name):
        command = ["skopeo", "inspect", "--config", "--raw", f"oci:{self.layout}:1"]
        return json.loads(subprocess.run(command, env=self.env, capture_output=True, check=True).stdout)["rootfs"]["diff_ids"]


class Podman:
    name = "podman"
    forms = {"gzip", "zstd"}

    def __init__(self, work):
        self.root, self.runroot = work / "podman-root", work / "podman-run"
        self.env = os.environ | {"HOME": str(work / "home")}

    def command(self, *arguments):
        return ["podman", "--root", str(self.root), "--runroot", str(self.runroot), *map(str, arguments)]

    def run(self, *arguments):
        return timed(self.command(*arguments), self.env)

    def output(self, *arguments):
        return subprocess.run(self.command(*arguments), env=self.env, capture_output=True, check=True, text=True).stdout

    def forget(self):
        self.run("rmi", "-a", "-f")

    def prepare(self, image):
        self.forget()
        self.load(image.archive)

    def push(self, name, form):
        options = [] if form == "gzip" else ["--compression-format", form]
        return self.run("push", "-q", "--tls-verify=false", *options, "docker.io/library/bench:1", name)

    def pull(self, name):
        return self.run("pull", "-q", "--tls-verify=false", name)

    def save(self, file):
        return self.run("save", "-q", "-o", file, "docker.io/library/bench:1")

    def load(self, file):
        return self.run("load", "-q", "-i", file)

    def layers(self, name):
        found = json.loads(self.output("image", "inspect", name if "/" in name else f"docker.io/library/{name}"))
        return found[0]["RootFS"]["Layers"]

    def load_many(self, file):
        self.forget()
        self.load(file)

    def list(self):
        return self.run("images")

    def count(self):
        return len(self.output("images", "-q").splitlines())


class Docker(tools.Docker):
    """One daemon serves both of its builders; how it moves images does not depend on them."""

    name = "docker"
    forms = {"gzip"}

    def forget(self):
        images = self.output("images", "-a", "-q").split()
        if images:
            self.run("rmi", "-f", *sorted(set(images)))

    def prepare(self, image):
        self.forget()
        self.load(image.archive)

    def push(self, name, form):
        self.run("tag", "bench:1", name)
        return self.run("push", "-q", name)

    def pull(self, name):
        return self.run("pull", "-q", name)

    def save(self, file):
        return self.run("save", "-o", str(file), "bench:1")

    def load(self, file):
        return self.run("load", "-q", "-i", str(file))

    def layers(self, name):
        return json.loads(self.output("image", "inspect", name))[0]["RootFS"]["Layers"]

    def load_many(self, file):
        self.forget()
        self.load(file)

    def list(self):
        return self.run("images")

    def count(self):
        return len(self.output("images", "-q").splitlines())


class Image:
    """A build context whose files become one layer each, and the image as a docker-archive."""

    def __init__(self, work, name, files, block, kiln):
        self.context, self.archive = work / name, work / f"{name}.tar"
        self.context.mkdir()
        for file, size in files.items():
            with open(self.context / file, "wb") as out:
                for number in range(size // MIB):
                    out.write(block(number))
        write(self.context / "Dockerfile", "FROM scratch\n" + "".join(f"COPY {file} /\n" for file in files))
        self.largest = self.context / next(iter(files))
        self.size = sum(files.values())
        kiln.prepare(self)
        kiln.save(self.archive)
        self.layers = kiln.layers("bench:1")
        # Our memory counts for the children, too.
        words.cache_clear()

    def remove(self):
        shutil.rmtree(self.context)
        self.archive.unlink()


def noise(_):
    return os.urandom(MIB)


@functools.cache
def words(number):
    """Such as gzip makes half of."""
    chosen = random.Random(number)
    known = ["".join(chosen.choices(string.ascii_lowercase, k=2 + n % 11)) for n in range(4096)]
    return " ".join(chosen.choices(known, k=MIB // 7))[: MIB - 1].ljust(MIB - 1).encode() + b"\n"


def text(number):
    # As far apart as these blocks are, no compressor finds one again.
    return words(number % 32)


def check(tool, what, found, expected):
    if found != expected:
        sys.exit(f"{tool.name}: {what} has the layers {found} instead of {expected}")


class Bench:
    def __init__(self, work, tools, runs, quick):
        self.work, self.tools, self.runs = work, tools, runs
        self.unit = 64 * MIB if quick else 1024 * MIB
        self.many = (10, 50) if quick else (100, 1000)

    def row(self, title, turn, limit=""):
        """One line of the table: `turn` measures a tool once."""
        results = {tool.name: [] for tool in self.tools}
        for number in range(self.runs + 1):
            for tool in self.tools:
                figures = turn(tool)
                if figures and number > 0:
                    results[tool.name].append(figures)
        cells, walls = [], []
        for tool in self.tools:
            if not results[tool.name]:
                cells.append("–")
                continue
            wall, cpu, memory = (statistics.median(column) for column in zip(*results[tool.name]))
            walls.append(wall)
            ratio = f", **{wall / walls[0]:.1f}×**" if len(walls) > 1 else ""
            cells.append(f"{wall * 1000:.0f} ms, {cpu * 1000:.0f} ms, {memory:.0f} MiB{ratio}")
        print(f"| {title} | " + " | ".join(cells) + f" | {limit} |", flush=True)

    def transfers(self, name, files, block, title, form="gzip"):
        """`form`: how the layers are sent that come. Whoever has not that form is left out."""
        kiln = self.tools[0]
        image = Image(self.work, name, files, block, kiln)

        def push(tool):
            if form not in tool.forms:
                return None
            tool.prepare(image)
            with Registry(self.work / "registry") as registry:
                figures = tool.push(f"{registry.host}/bench:1", form)
                check(tool, "what was pushed", registry.layers("bench"), image.layers)
            return figures

        with Registry(self.work / "shared") as registry:
            uploads = [registry.upload(image.largest) for _ in range(self.runs)]
            size = image.largest.stat().st_size
            scale = image.size / size
            up = statistics.median(seconds for seconds, _ in uploads) * scale
            downs = [registry.download(uploads[0][1], self.work / "limit") for _ in range(self.runs)]
            down = statistics.median(downs) * scale
            (self.work / "limit").unlink()
        self.row(f"push {title}", push, f"uncompressed: {up * 1000:.0f} ms")
        with Registry(self.work / "shared") as registry:
            source = f"{registry.host}/bench:1"
            kiln.prepare(image)
            kiln.push(source, form)

            def pull(tool):
                if isinstance(tool, Docker) and form == "zstd":
                    return None  # Too old for it.
                tool.forget()
                figures = tool.pull(source)
                check(tool, "what was pulled", tool.layers(source), image.layers)
                return figures

            self.row(f"pull {title}", pull, f"uncompressed: {down * 1000:.0f} ms")

            def again(tool):
                tool.forget()
                tool.pull(source)
                with Registry(self.work / "registry") as other:
                    target = f"{other.host}/bench:1"
                    if isinstance(tool, Skopeo):
                        figures = tool.push(target, form)
                    else:
                        tool.run("tag", source, "docker.io/library/bench:1" if isinstance(tool, Podman) else "bench:1")
                        figures = tool.push(target, form)
                    check(tool, "what was pushed on", other.layers("bench"), image.layers)
                return figures

            if form == "gzip":
                self.row(f"push {title}, as it was pulled", again)
        image.remove()

    def archives(self):
        image = Image(self.work, "archived", {"large": self.unit}, noise, self.tools[0])

        def copy():
            start = time.perf_counter()
            subprocess.run(["cp", "--reflink=never", image.archive, self.work / "copy"], check=True)
            seconds = time.perf_counter() - start
            (self.work / "copy").unlink()
            return seconds

        limit = f"copied: {statistics.median(copy() for _ in range(self.runs)) * 1000:.0f} ms"

        def save(tool):
            tool.prepare(image)
            file = self.work / "saved.tar"
            file.unlink(missing_ok=True)
            figures = tool.save(file)
            tool.forget()
            tool.load(file)
            check(tool, "what was saved", tool.layers("bench:1"), image.layers)
            file.unlink()
            return figures

        def load(tool):
            tool.forget()
            figures = tool.load(image.archive)
            check(tool, "what was loaded", tool.layers("bench:1"), image.layers)
            return figures

        self.row(f"save an image of {self.unit // MIB} MiB", save, limit)
        self.row(f"load it", load, limit)
        image.remove()

    def listings(self):
        kiln = self.tools[0]
        for count in self.many:
            context, archive = self.work / "listed", self.work / "listed.tar"
            kiln.forget()
            for number in range(count):
                write(context / "Dockerfile", f"FROM scratch\nCOPY Dockerfile /\nLABEL number={number}\n")
                kiln.run("build", "-q", "-t", f"listed{number}:1", context)
            kiln.run("save", "-o", archive, *(f"listed{number}:1" for number in range(count)))
            for tool in self.tools:
                if not isinstance(tool, Skopeo):
                    tool.load_many(archive)

            def listing(tool):
                if isinstance(tool, Skopeo):
                    return None
                if tool.count() != count:
                    sys.exit(f"{tool.name} lists {tool.count()} images instead of {count}")
                return tool.list()

            self.row(f"list {count} images", listing)
            archive.unlink()


def scenario_random(bench):
    bench.transfers("random", {"large": bench.unit}, noise, f"{bench.unit // MIB} MiB of noise in one layer")


def scenario_zstd(bench):
    bench.transfers("zstd", {"large": bench.unit}, noise, f"{bench.unit // MIB} MiB of noise in one layer, zstd", "zstd")


def scenario_plain(bench):
    title = f"{bench.unit // MIB} MiB of noise in one layer, uncompressed"
    bench.transfers("plain", {"large": bench.unit}, noise, title, "none")


def scenario_text(bench):
    bench.transfers("text", {"large": bench.unit}, text, f"{bench.unit // MIB} MiB of text in one layer")


def scenario_ten(bench):
    size = bench.unit // 64
    files = {f"file{number}": size for number in range(10)}
    bench.transfers("ten", files, noise, f"ten layers of {size // MIB} MiB of noise")


SCENARIOS = {
    "random": scenario_random,
    "zstd": scenario_zstd,
    "plain": scenario_plain,
    "text": scenario_text,
    "ten": scenario_ten,
    "archives": Bench.archives,
    "listings": Bench.listings,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=SCENARIOS, action="append")
    parser.add_argument("--quick", action="store_true", help="smaller inputs: whether it works, not how fast")
    parser.add_argument("--docker", action="store_true", help="start a dockerd for the time of the run")
    parser.add_argument("--work", type=pathlib.Path, help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    for program in (KILN, "docker-registry"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing")
    work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-bench-", dir=options.work))
    (work / "home").mkdir()
    present = [Kiln(work)]
    for tool in (Skopeo, Podman):
        if shutil.which(tool.name):
            present.append(tool(work))
        else:
            print(f"{tool.name} is not installed: it is left out", file=sys.stderr)
    daemon = None
    try:
        if options.docker:
            daemon = tools.Daemon(work)
            present.append(Docker(work, daemon))
        print(f"{os.cpu_count()} processors, Linux {os.uname().release}; {limits(work)}\n")
        print("| what | " + " | ".join(f"{tool.name}: wall, cpu, peak memory" for tool in present) + " | limit |")
        print("|---|" + "---|" * (len(present) + 1))
        for name in options.only or SCENARIOS:
            SCENARIOS[name](Bench(work, present, options.runs, options.quick))
    finally:
        if daemon:
            daemon.stop()
        for tool in present:
            if isinstance(tool, Podman):
                tool.forget()
        remove(work)


if __name__ == "__main__":
    main()
