"""The machine: what it can do at best, whether its disk is at rest, and what it is."""

import ctypes
import datetime
import hashlib
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import time

MIB = 1 << 20
ROOT = pathlib.Path(__file__).resolve().parents[2]
KILN = pathlib.Path(os.environ.get("KILN", ROOT / "target/release/kiln"))

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWNET = 0x20000, 0x20000000, 0x8000000, 0x4000000, 0x40000000


def seconds(work, times=3):
    """The median time of something, after one that warms up."""
    taken = []
    for _ in range(times + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def sha256_rate():
    """MiB a second on one processor."""
    # Small blocks: a child's peak memory counts from its parent's at the fork.
    block = os.urandom(MIB)

    def digest():
        hasher = hashlib.sha256()
        for _ in range(256):
            hasher.update(block)

    return 256 / seconds(digest)


def write_rates(work):
    """MiB a second into the page cache, and with one fsync at the end."""
    block, path = os.urandom(MIB), work / "limit"

    def fill(sync):
        start = time.perf_counter()
        with open(path, "wb") as out:
            for _ in range(512):
                out.write(block)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        return 512 / (time.perf_counter() - start)

    rates = fill(False), fill(True)
    path.unlink()
    return rates


def stat_time(files):
    """Seconds to stat them all, once."""
    return seconds(lambda: [os.lstat(file) for file in files])


def start_time():
    """Seconds to start a static program that does nothing, and wait for its end."""
    return statistics.median(seconds(lambda: subprocess.run(["/bin/busybox", "true"]), 1) for _ in range(20))


def container_time(work):
    """Seconds for a process in namespaces and an overlay of its own that does nothing: fork, unshare, mount, chroot, exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    lower = work / "limit-lower"
    (lower / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", lower / "bin/true")
    places = iter(range(1000))

    def run():
        place = work / f"limit-overlay-{next(places)}"
        for name in ("upper", "work", "root"):
            (place / name).mkdir(parents=True)
        options = f"lowerdir={lower},upperdir={place}/upper,workdir={place}/work".encode()
        start = time.perf_counter()
        if (child := os.fork()) == 0:
            libc.unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWPID)
            libc.mount(None, b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE
            if libc.mount(b"overlay", str(place / "root").encode(), b"overlay", 0, options) != 0:
                os._exit(1)
            os.chroot(place / "root")
            # Processes of the new pid namespace are children of this one.
            if (inner := os.fork()) == 0:
                os.execv("/bin/true", ["true"])
            os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
        status = os.waitpid(child, 0)[1]
        taken = time.perf_counter() - start
        if status != 0:
            sys.exit("cannot make namespaces and overlays: is this root?")
        return taken

    return statistics.median(run() for _ in range(20))


def create_time(work):
    """Seconds to create a small file: much more than 30 µs where ext4 steps over recently deleted inodes."""
    place = work / f"probe-{time.monotonic_ns()}"
    place.mkdir()
    start = time.perf_counter()
    for number in range(500):
        (place / str(number)).touch()
    return (time.perf_counter() - start) / 500


def settle(work, patience):
    """Waits until the disk is at rest: nothing to be written, and files are created as fast as they should be."""
    os.sync()
    end = time.monotonic() + patience
    while (taken := create_time(work)) > 60e-6 and time.monotonic() < end:
        time.sleep(5)
        os.sync()
    if taken > 60e-6:
        print(f"<!-- the disk is not at rest: creating a file takes {taken * 1e6:.0f} µs -->", flush=True)


def rest():
    """What was begun before is written out and taken apart."""
    os.sync()
    time.sleep(0.3)


def limits(work):
    """One line of what the machine does at best."""
    cached, synced = write_rates(work)
    return f"SHA-256 {sha256_rate():.0f} MiB/s, page-cache write {cached:.0f} MiB/s, write and fsync {synced:.0f} MiB/s"


def all_limits(work):
    """The same with what only root can measure."""
    return (
        f"{limits(work)}, starting a program {start_time() * 1000:.1f} ms, unshare + overlay + exec "
        f"{container_time(work) * 1000:.1f} ms, creating a file {create_time(work) * 1e6:.0f} µs"
    )


def tar_time(directory, out):
    """Seconds for files to become a tar of known SHA-256: tar reads, this process digests and writes."""
    start = time.perf_counter()
    reader = subprocess.Popen(["tar", "-C", directory, "-cf", "-", "."], stdout=subprocess.PIPE)
    hasher = hashlib.sha256()
    with open(out, "wb") as file:
        while block := reader.stdout.read(MIB):
            hasher.update(block)
            file.write(block)
    reader.wait()
    taken = time.perf_counter() - start
    os.unlink(out)
    return taken


def copy_time(file, out):
    """Seconds to read a file, digest it and write it again, one after the other."""
    start = time.perf_counter()
    hasher = hashlib.sha256()
    with open(file, "rb") as source, open(out, "wb") as target:
        while block := source.read(MIB):
            hasher.update(block)
            target.write(block)
    taken = time.perf_counter() - start
    os.unlink(out)
    return taken


def description():
    """Date, processors, kernel, file system of the working folder's device."""
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return f"{date}; {os.cpu_count()} processors ({model[1] if model else 'unknown'}), Linux {os.uname().release}"


def remove(work):
    """The working folder, with what peers have left mounted in it."""
    mounts = [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{work}/")]):
        subprocess.run(["umount", mount])
    shutil.rmtree(work, ignore_errors=True)


def busybox_tar(path):
    """A base image with a shell and the tools that scenarios and their checks use."""
    tools = "sh true echo cat ls mkdir rm id find sort xargs sha256sum wc sleep seq touch".split()
    with tarfile.open(path, "w") as archive:
        archive.add("/bin/busybox", "bin/busybox")
        for tool in tools:
            link = tarfile.TarInfo(f"bin/{tool}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return path
