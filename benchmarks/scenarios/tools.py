"""kiln and its peers, each with a store of its own, all told to do the same.

RUN steps have no network anywhere: bridges are what peers are slowest at, and kiln has none. buildah and podman use runc,
because crun, their packages' default, refuses hosts with both cgroup hierarchies.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from machine import KILN, write
from measure import Daemons, observed, output, timed


class Tool:
    """What all have in common: `command(…)` is the program with its store, `env` its environment."""

    daemon = None

    def timed(self, command):
        """Wall, processor time (that of daemons included), peak memory of the largest process."""
        daemons = Daemons(self.daemon)
        wall, cpu, memory = timed(command, self.env)
        return wall, cpu + daemons.processor_time(), memory

    def run(self, *arguments):
        return self.timed(self.command(*arguments))

    def output(self, *arguments):
        return output(self.command(*arguments), self.env)

    def observed(self, command):
        return observed(command, self.env, self.daemon)

    def build(self, context, *options, image="bench"):
        """The command that builds; options are those that all share."""
        return self.command("build", *self.build_options, "-t", image, *options, str(context))

    def import_base(self, tar, name):
        return self.run("import", str(tar), name)

    def shell(self, image, script):
        """What a shell prints in a container of the image."""
        return self.output("run", *self.run_options, image, "sh", "-c", script)

    def id(self, image="bench"):
        return self.output("image", "inspect", "--format", "{{.Id}}", image)


class Kiln(Tool):
    name = "kiln"
    build_options = run_options = ["--network", "none"]

    def __init__(self, work):
        foreign = ("KILN_", "DOCKER_", "XDG_")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        self.store = work / "kiln-store"
        self.env |= {"KILN_ROOT": str(self.store), "KILN_CONFIG": str(work / "kiln.toml"), "HOME": str(work)}
        write(work / "kiln.toml", "")

    def command(self, *arguments):
        return [str(KILN), *arguments]

    def id(self, image="bench"):
        return json.loads(self.output("inspect", image))[0]["Id"]

    def version(self):
        return self.output("--version")


class Buildah(Tool):
    name = "buildah"
    build_options = ["--layers", "--network", "none", "--jobs", "8"]

    def __init__(self, work):
        self.env = os.environ | {"HOME": str(work)}
        self.storage = ["--root", str(work / "buildah-root"), "--runroot", str(work / "buildah-run")]
        # Untrusted defaults of the host (registries, policy) play no part: every image is made here.
        policy = work / "policy.json"
        policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        self.policy = ["--signature-policy", str(policy)]
        self.runtime = ["--runtime", "runc"] if shutil.which("runc") else []
        self.build_options = [*Buildah.build_options, *self.policy, *self.runtime]

    def command(self, *arguments):
        return [self.name, *self.storage, *arguments]

    def script(self, text):
        return ["sh", "-ec", text, "sh", *self.command()]

    def import_base(self, tar, name):
        return self.timed(self.script(
            f'c=$("$@" from scratch); "$@" add -q $c {tar} /; "$@" commit {" ".join(self.policy)} -q $c {name}; "$@" rm $c'
        ))

    def shell(self, image, script):
        container = self.output("from", *self.policy, "--pull-never", image)
        found = self.output("run", *self.runtime, "--network", "none", container, "--", "sh", "-c", script)
        self.run("rm", container)
        return found

    def id(self, image="bench"):
        return self.output("inspect", "--type", "image", "--format", "{{.FromImageID}}", image)

    def version(self):
        return self.output("--version").split(" (")[0]


class Podman(Tool):
    name = "podman"

    def __init__(self, work):
        self.env = os.environ | {"HOME": str(work)}
        policy = work / "policy.json"
        policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        runtime = ["--runtime", "runc"] if shutil.which("runc") else []
        self.program = ["podman", "--root", str(work / "podman-root"), "--runroot", str(work / "podman-run"),
                        "--cgroup-manager", "cgroupfs", "--events-backend", "none", *runtime]
        self.build_options = ["--layers", "--network", "none", "--jobs", "8", "--signature-policy", str(policy)]
        self.run_options = ["--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]

    def command(self, *arguments):
        return [*self.program, *arguments]

    def import_base(self, tar, name):
        return self.run("import", "-q", str(tar), name)

    def version(self):
        return self.output("--version")


class Docker(Tool):
    """The classic builder; needs a daemon."""

    name = "docker (classic)"
    buildkit = "0"
    build_options = ["--network", "none"]
    run_options = ["--rm", "--network", "none"]

    def __init__(self, work, daemon):
        self.daemon = daemon.pid
        self.env = os.environ | {
            "DOCKER_HOST": daemon.host, "DOCKER_CONFIG": str(work / "docker-config"), "DOCKER_BUILDKIT": self.buildkit,
        }
        # Debian's own: other clients may lack the classic builder, or need a plug-in for BuildKit.
        self.client = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else "docker"

    def command(self, *arguments):
        return [self.client, *arguments]

    def version(self):
        return f"{self.name} {self.output('version', '--format', '{{.Server.Version}}')}"


class BuildKit(Docker):
    name = "BuildKit (docker)"
    buildkit = "1"


class Daemon:
    """A dockerd of our own, with its socket, state and containerd below `work`, and without a bridge."""

    def __init__(self, work, host=None):
        self.process, self.pid, self.host = None, None, host
        if host:
            return
        place = work / "docker"
        place.mkdir()
        self.host = f"unix://{place}/socket"
        command = ["unshare", "--mount", "dockerd", "-H", self.host, "--data-root", place / "data", "--exec-root",
                   place / "exec", "--pidfile", place / "pid", "--storage-driver", "overlay2", "--bridge", "none",
                   "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        with open(place / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        while "API listen on" not in (place / "log").read_text():
            if self.process.poll() is not None:
                sys.exit(f"dockerd does not start:\n{(place / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()


def found(work, daemon, wanted=None):
    """kiln and the peers that are on this machine, and wanted."""
    tools = [Kiln(work)]
    for tool, program in ((Buildah, "buildah"), (Podman, "podman")):
        if wanted and program not in wanted:
            continue
        if shutil.which(program):
            tools.append(tool(work))
        else:
            print(f"{program} is not installed: it is left out", file=sys.stderr)
    if daemon:
        tools += [Docker(work, daemon), BuildKit(work, daemon)]
    else:
        print("docker is left out: give --docker (dockerd is started, and stopped at the end) or --docker-host", file=sys.stderr)
    return tools
