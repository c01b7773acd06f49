"""The Autobahn suite (`kosoku`) against the node's own frames, run beside the other tests.

It takes minutes of processor time, so it starts with the session, at a low priority, and its
test comes last. What it measures does not depend on how fast it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import define

from tests.node_process import clean_environment

HERE = Path(__file__).parent
START_WITHIN = 30.0
FINISH_WITHIN = 900.0

PASSED = ("OK", "INFORMATIONAL", "NON-STRICT")
UNIMPLEMENTED = "UNIMPLEMENTED"


@define(eq=False, kw_only=True)
class ConformanceRun:
    """A run that goes on."""

    directory: Path
    echo: subprocess.Popen[bytes]
    suite: subprocess.Popen[bytes]
    outcomes: Mapping[str, str] | None = None

    def wait(self) -> Mapping[str, str]:
        """Return the outcome of each case, once all are done."""
        if self.outcomes is None:
            self.suite.wait(FINISH_WITHIN)
            (agent,) = json.loads((self.directory / "reports" / "index.json").read_text()).values()
            self.outcomes = {
                case: worse(each["behavior"], each["behaviorClose"])
                for case, each in agent.items()
            }
        return self.outcomes

    def stop(self) -> None:
        """End both processes and remove the reports."""
        for process in (self.suite, self.echo):
            process.kill()
            process.wait()
        shutil.rmtree(self.directory)


def worse(behaviour: str, closing: str) -> str:
    """Return what counts of the two verdicts of a case: how it went, and how it closed."""
    return closing if behaviour in PASSED and closing not in PASSED else behaviour


def in_groups(outcomes: Mapping[str, str], outcome: str) -> list[str]:
    """Return the cases with this outcome; `13.3.*` where all of a group have it."""
    groups: dict[str, list[str]] = {}
    for case in outcomes:
        groups.setdefault(case.rpartition(".")[0], []).append(case)
    found = []
    for group, cases in groups.items():
        having = [case for case in cases if outcomes[case] == outcome]
        found += [f"{group}.*"] if len(having) == len(cases) > 1 else having
    return found


def start() -> ConformanceRun:
    """Start the echo server and the suite."""
    directory = Path(tempfile.mkdtemp(prefix="autobahn-"))
    environment = {
        name: text for name, text in clean_environment().items() if not name.startswith("COV")
    }
    log = directory / "echo.log"
    with log.open("wb") as sink:
        echo = subprocess.Popen(
            ["nice", "-n", "10", sys.executable, str(HERE / "echo_server.py"), "--port", "0"],
            stdout=sink, stderr=sink, env=environment,
        )
    port = _port_in(log)
    with (directory / "suite.log").open("wb") as sink:
        suite = subprocess.Popen(
            [
                "nice", "-n", "10", str(Path(sys.executable).with_name("kosoku")),
                "--parallelism", str(os.cpu_count() or 1),
                "--outdir", str(directory / "reports"), f"ws://127.0.0.1:{port}/",
            ],
            stdout=sink, stderr=sink, env=environment,
        )
    return ConformanceRun(directory=directory, echo=echo, suite=suite)


def _port_in(log: Path) -> int:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if found := re.search(r"echo on port (\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the echo server did not start: {log.read_text()}")
