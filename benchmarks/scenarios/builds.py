"""The scenarios: what is built, how its result is checked, and what the machine needs for it at least.

Every scenario is built by each tool in turn, one round after the other; the first round warms the page cache and does
not count. `peer` and `own` are the aims: how many times faster than the best peer, and how near to the limit.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time

import machine
from machine import MIB, write


def many_files(directory, count):
    """`count` files of some 200 bytes, 500 in each directory."""
    for number in range(count):
        write(directory / f"d{number // 500}" / f"f{number}", f"file {number}\n" * 20)


def all_files(directory):
    return [os.path.join(place, name) for place, _, names in os.walk(directory) for name in names]


def digest_of_files(directory):
    """As `find . -type f | sort | xargs cat | sha256sum` has it."""
    hasher = hashlib.sha256()
    for file in sorted(all_files(directory)):
        with open(file, "rb") as source:
            hasher.update(source.read())
    return hasher.hexdigest()


class Scenario:
    """One build. `per`: steps that a build's time is shared by."""

    options, per, peer, own = ["--no-cache"], 1, "", ""
    needs_cache, timed_import, only = False, False, None

    def __init__(self, work, quick):
        self.work, self.quick, self.context = work, quick, work / "context"
        self.context.mkdir(parents=True)
        self.expected = []
        self.prepare()

    def prepare(self):
        """Makes the context, and `expected`: shell commands with what they print in the image."""

    def dockerfile(self, *lines):
        write(self.context / "Dockerfile", "\n".join(lines) + "\n")

    def before(self, tool, number):
        """What comes before each build, outside its time."""

    def command(self, tool, number):
        return tool.build(self.context, *self.options)

    def limit(self):
        """Seconds, and what they are made of."""
        return None, "–"

    def check(self, tool):
        for script, expected in self.expected:
            found = tool.shell("bench", script)
            if found != expected:
                sys.exit(f"{tool.name}: {self.title}: `{script}` prints {found[:300]!r} instead of {expected[:300]!r}")


class Cached(Scenario):
    title = "rebuild, everything cached: 20 instructions, {files:,} context files"
    options, needs_cache, peer, own = [], True, "≥ 12×", "≤ 2.5×"
    count = quick_count = 1000

    def prepare(self):
        self.files = self.quick_count if self.quick else self.count
        self.title = self.title.format(files=self.files)
        many_files(self.context / "files", self.files)
        self.dockerfile("FROM busybox", *(f"ENV V{n}={n}" for n in range(8)), "COPY files /files",
                        *(f"RUN echo {n} > /r{n}" for n in range(10)), 'CMD ["/bin/sh"]')
        self.expected = [("find /files -type f | wc -l; cat /r9", f"{self.files}\n9")]
        self.ids = {}

    def check(self, tool):
        super().check(tool)
        if self.ids.setdefault(tool.name, tool.id()) != tool.id():
            sys.exit(f"{tool.name}: {self.title}: it was not cached")

    def limit(self):
        files = all_files(self.context / "files")
        return machine.start_time() + machine.stat_time(files), "starting a program + stat of the files"


class Cached50k(Cached):
    title = "cached rebuild, {files:,} context files"
    peer, own, count, quick_count = "≥ 4×", "≤ 2×", 50_000, 5_000


class Changed50k(Cached):
    title = "one of {files:,} context files changed"
    peer, own, count, quick_count = "≥ 15×", "≤ 0.6 s", 50_000, 5_000

    def before(self, tool, number):
        self.written = f"{tool.name} {number}\n"
        write(self.context / "files/d0/f7", self.written)

    def check(self, tool):
        self.expected = [("find /files -type f | wc -l; cat /files/d0/f7", f"{self.files}\n{self.written.strip()}")]
        Scenario.check(self, tool)

    def limit(self):
        stat = machine.stat_time(all_files(self.context / "files"))
        return stat + machine.tar_time(self.context, self.work / "limit.tar"), "stat of the files + tar, SHA-256, write"


class Run20(Scenario):
    title, per, peer, own = "RUN, native, a step of 20", 20, "≥ 15×", "≤ 5 ms"

    def prepare(self):
        self.dockerfile("FROM busybox", *(f"RUN echo {n} > /r{n}" for n in range(20)))
        self.work_of_limit = self.work / "limit"
        self.work_of_limit.mkdir()

    def check(self, tool):
        found = tool.shell("bench", "cat " + " ".join(f"/r{n}" for n in range(20)))
        if sorted(found.split()) != sorted(map(str, range(20))):
            sys.exit(f"{tool.name}: {self.title}: the files hold {found!r}")

    def limit(self):
        return machine.container_time(self.work_of_limit), "unshare + overlay + exec"


class RunWasi(Scenario):
    title, per, own, only = "RUN, WASI, a warm shell-form step of 20", 20, "≤ 3 ms", "kiln"
    options = ["--no-cache", "--executor", "wasi"]

    def prepare(self):
        self.dockerfile("FROM scratch", *(f"RUN echo {n} > /r{n}" for n in range(20)))
        self.expected = [("cat /r0 /r19", "0\n19")]


class Meta20(Scenario):
    title, peer, own = "20 metadata instructions", "≥ 12×", "≤ 6 ms"

    def prepare(self):
        self.dockerfile("FROM busybox", *(f"ENV V{n}={n}" for n in range(20)))
        self.expected = [("echo $V0 $V19", "0 19")]

    def limit(self):
        return machine.start_time(), "starting a program"


class CopySmall(Scenario):
    title, peer, own = "COPY of {files:,} small files", "≥ 8×", "≤ 1.5×"

    def prepare(self):
        files = 5_000 if self.quick else 50_000
        self.title = self.title.format(files=files)
        self.tree = self.context / "files"
        many_files(self.tree, files)
        self.dockerfile("FROM busybox", "COPY files /files")
        script = "cd /files; find . -type f | wc -l; find . -type f | sort | xargs cat | sha256sum"
        self.expected = [(script, f"{files}\n{digest_of_files(self.tree)}  -")]

    def before(self, tool, number):
        # No tool may know the files from their times.
        for file in all_files(self.tree):
            os.utime(file)

    def limit(self):
        return machine.tar_time(self.tree, self.work / "limit.tar"), "tar, SHA-256, write"


class CopyBig(Scenario):
    title, peer, own = "COPY of one file of {size} MiB", "≥ 5×", "≥ 65 %, ≤ 100 MiB of memory"

    def prepare(self):
        size = 64 if self.quick else 1024
        self.title = self.title.format(size=size)
        hasher = hashlib.sha256()
        self.file = self.context / "big"
        with open(self.file, "wb") as out:
            for _ in range(size):
                block = os.urandom(MIB)
                hasher.update(block)
                out.write(block)
        self.dockerfile("FROM busybox", "COPY big /big")
        self.expected = [("sha256sum /big", f"{hasher.hexdigest()}  /big")]

    def before(self, tool, number):
        os.utime(self.file)

    def limit(self):
        return machine.copy_time(self.file, self.work / "limit.copy"), "read, SHA-256, write"


def big_base(work, quick, debian=None):
    """The tar of a base image of 300 MB in 20,000 files, with the tools of busybox; or a given one."""
    path = work / "base.tar"
    if path.exists():
        return path
    if debian:
        shutil.copy(debian, path)
        return path
    machine.busybox_tar(path)
    source = work / "base"
    for number in range(2_000 if quick else 20_000):
        place = source / f"usr/d{number // 200}"
        if number % 200 == 0:
            place.mkdir(parents=True)
        (place / f"f{number}").write_bytes(os.urandom(500 + number * 7919 % 28_000))
    with tarfile.open(path, "a") as archive:
        archive.add(source / "usr", "usr")
    return path


class FirstRun(Scenario):
    title, peer, own = "first RUN on a base of 300 MB that was just imported", "", "≤ index + 10 ms"
    base = None

    def prepare(self):
        self.tar = big_base(self.work.parent, self.quick, self.base)
        

    def before(self, tool, number):
        """A base that no store has seen: one more file in it."""
        mark = self.work / "mark"
        self.mark = f"{tool.name} {number}\n"
        write(mark, self.mark)
        tar = self.work / "unique.tar"
        shutil.copy(self.tar, tar)
        with tarfile.open(tar, "a") as archive:
            archive.add(mark, "unique-mark")
        self.image = f"base{number}"
        self.imported = tool.import_base(tar, self.image)[:2]
        self.dockerfile(f"FROM {self.image}", "RUN echo x > /x")

    def check(self, tool):
        self.expected = [("cat /x /unique-mark", f"x\n{self.mark.strip()}")]
        super().check(tool)

    def limit(self):
        start = time.perf_counter()
        hasher = hashlib.sha256()
        with open(self.tar, "rb") as source:
            while block := source.read(MIB):
                hasher.update(block)
        return time.perf_counter() - start, "reading the tar once, with SHA-256"


class ImportAndRun(FirstRun):
    title, peer, own = "a base of 300 MB is imported, and a first RUN on it", "≥ 20×", "≤ index + 10 ms"
    timed_import = True


class RunOnBase(Scenario):
    title, peer, own = "RUN that touches 3 files on a base of 300 MB", "≥ 15×", "≤ 10 ms"
    base = None

    def prepare(self):
        self.tar = big_base(self.work.parent, self.quick, self.base)
        self.imported = set()
        self.dockerfile("FROM big", "RUN echo a > /usr/a; echo b > /usr/b; echo c > /c")
        self.expected = [("cat /usr/a /usr/b /c", "a\nb\nc")]

    def before(self, tool, number):
        if tool.name not in self.imported:
            tool.import_base(self.tar, "big")
            self.imported.add(tool.name)

    def limit(self):
        return machine.container_time(self.work), "unshare + overlay + exec"


class RunWrites(Scenario):
    title, peer, own = "RUN that writes {files:,} files", "≥ 5×", "≤ 2×"

    def prepare(self):
        self.files = 1_000 if self.quick else 10_000
        self.title = self.title.format(files=self.files)
        self.loop = f"i=0; while [ $i -lt {self.files} ]; do echo $i > $i; i=$((i+1)); done"
        self.dockerfile("FROM busybox", f"RUN mkdir /f; cd /f; {self.loop}")
        self.expected = [(f"cd /f; ls | wc -l; cat {self.files - 1}", f"{self.files}\n{self.files - 1}")]

    def limit(self):
        place = self.work / "limit"
        place.mkdir()
        start = time.perf_counter()
        subprocess.run(["/bin/busybox", "sh", "-c", self.loop], cwd=place, check=True)
        taken = time.perf_counter() - start
        return taken + machine.tar_time(place, self.work / "limit.tar"), "the same loop + tar, SHA-256, write"


class Stages(Scenario):
    title, peer, own = "eight independent stages of `sleep 1`", "", "≤ 1.05 s"

    def prepare(self):
        stages = [f"FROM busybox AS s{n}\nRUN sleep 1; echo {n} > /r{n}" for n in range(8)]
        self.dockerfile(*stages, "FROM busybox", *(f"COPY --from=s{n} /r{n} /" for n in range(8)))
        self.expected = [(f"cat {' '.join(f'/r{n}' for n in range(8))}", "\n".join(map(str, range(8))))]

    def limit(self):
        return 1.0, "sleep 1"


class Version(Scenario):
    title, peer, own = "`version`", "≥ 10×", "≤ 2 ms"

    def command(self, tool, number):
        return tool.command("--version")

    def check(self, tool):
        if not tool.version():
            sys.exit(f"{tool.name} tells no version")

    def limit(self):
        return machine.start_time(), "starting a program"


SCENARIOS = {
    "cached": Cached,
    "cached50k": Cached50k,
    "changed50k": Changed50k,
    "run20": Run20,
    "wasi20": RunWasi,
    "meta20": Meta20,
    "copy50k": CopySmall,
    "copy1g": CopyBig,
    "import": ImportAndRun,
    "first": FirstRun,
    "base300": RunOnBase,
    "write10k": RunWrites,
    "stages": Stages,
    "version": Version,
}
