#!/usr/bin/env python3
"""Everything: whole builds, images on their way, containers, WASI steps, growing stores; the tables go to standard output.

    cargo build --release && sudo benchmarks/scenarios/all.py [--docker] [--quick] [--runs 3] [--work DIR] >tables.md

Some 25 minutes with --docker on an idle machine with 2 processors. Needs what run.py and registry.py need, and says what is missing.
"""

import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PARTS = [
    ("Whole builds", "run.py", True),
    ("Images on their way", "registry.py", True),
    ("Containers", "containers.py", True),
    ("RUN steps under WASI", "wasi.py", False),
    ("What grows", "scaling.py", False),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="3")
    parser.add_argument("--quick", action="store_true", help="small inputs: whether it works, not how fast")
    parser.add_argument("--docker", action="store_true", help="start a dockerd where docker is compared")
    parser.add_argument("--work", help="where to work (default: a temporary folder)")
    options = parser.parse_args()
    failed = []
    for title, script, has_docker in PARTS:
        print(f"\n### {title}\n", flush=True)
        flags = ["--runs", options.runs, *(["--quick"] if options.quick else []), *(["--work", options.work] if options.work else [])]
        flags += ["--docker"] if options.docker and has_docker else []
        flags += ["--svg", str(HERE.parent / "scaling.svg")] if script == "scaling.py" and not options.quick else []
        if subprocess.run([sys.executable, HERE / script, *flags]).returncode != 0:
            failed.append(script)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
