"""What a command takes: time, processor time, memory, bytes written, and the calls with which it waits for the disk."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SYNCS = [f"syscalls:sys_enter_{call}" for call in "fsync fdatasync sync syncfs msync sync_file_range".split()]


def finished(command, child, log, expect):
    """Waits for a child; its usage, or the end of everything with what it had said."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != expect:
        log.seek(0)
        words = " ".join(map(str, command))
        sys.exit(f"{words} ended with {child.returncode}:\n{log.read().decode(errors='replace')[-4000:]}")
    return usage


def timed(command, env, expect=0):
    """Runs a command; seconds of wall and processor, peak memory in MiB of its largest process (20 at least: ours)."""
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        child = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        usage = finished(command, child, log, expect)
        wall = time.perf_counter() - start
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def output(command, env):
    """What a command prints, without the last line's end."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr.decode(errors='replace')[-4000:]}")
    return done.stdout.decode().removesuffix("\n")


def processes(pid):
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                found += map(int, pathlib.Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except OSError:
            pass
    return found


def field(pid, file, name):
    """A number of a file of /proc with lines `name: number …`; 0 if the process has ended."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def processor_time(pid):
    """Seconds that a process and the children it has waited for have used."""
    numbers = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, numbers[11:15])) / os.sysconf("SC_CLK_TCK")


class Daemons:
    """Processes that work for a command without being its children: what they used since `Daemons` was made."""

    def __init__(self, pid):
        self.pids = processes(pid) if pid else []
        self.before = [processor_time(pid) for pid in self.pids]

    def processor_time(self):
        return sum(processor_time(pid) - before for pid, before in zip(self.pids, self.before))


class Sampler(threading.Thread):
    """The largest sum of the peaks (VmHWM) of all processes that were alive at one time, in MiB."""

    def __init__(self, roots):
        super().__init__(daemon=True)
        self.roots, self.peak, self.done = roots, 0, threading.Event()

    def run(self):
        while not self.done.wait(0.001):
            pids = {pid for root in self.roots for pid in processes(root)}
            names = {pid: self.name_of(pid) for pid in pids}
            self.peak = max(self.peak, sum(field(pid, "status", "VmHWM") for pid in pids if names[pid] != "perf") / 1024)

    @staticmethod
    def name_of(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""

    def stop(self):
        self.done.set()
        self.join()
        return self.peak


def calls(file):
    """The sum of what `perf stat -x,` counted."""
    counts = [line.split(",")[0] for line in pathlib.Path(file).read_text().splitlines() if not line.startswith("#")]
    return sum(int(count) for count in counts if count.isdigit())


def observed(command, env, daemon=None, expect=0):
    """Runs a command once more: peak memory in MiB, bytes written (pages made dirty), number of syncing calls.

    The peak is that of all its processes together, daemons included, pages that they share counted for each. Calls are
    counted with perf, where it is installed.
    """
    perf = shutil.which("perf")
    others = processes(daemon) if daemon else []
    for pid in others:
        # Forgets the peak so far.
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as log:
        counting = [perf, "stat", "-x,", "-e", ",".join(SYNCS), "-o"]
        watcher = None
        if perf and daemon:
            watching = [*counting, f"{place}/daemons", "-p", ",".join(map(str, others))]
            watcher = subprocess.Popen(watching, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)

        def written():
            return field("self", "io", "write_bytes") + sum(field(pid, "io", "write_bytes") for pid in others)

        before = written()
        command = [*counting, f"{place}/own", *command] if perf else command
        child = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        sampler = Sampler([child.pid, *([daemon] if daemon else [])])
        sampler.start()
        finished(command, child, log, expect)
        memory, bytes_written = sampler.stop(), written() - before
        if watcher:
            watcher.send_signal(signal.SIGINT)
            watcher.wait()
        counts = [calls(file) for file in (f"{place}/own", f"{place}/daemons") if os.path.exists(file)]
    return memory, bytes_written, sum(counts) if perf else None
