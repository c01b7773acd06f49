"""The Autobahn suite (`kosoku`) against the node's own frames."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.node_process import clean_environment

HERE = Path(__file__).parent
START_WITHIN = 30.0
FINISH_WITHIN = 900.0

PASSED = ("OK", "INFORMATIONAL", "NON-STRICT")
UNIMPLEMENTED = "UNIMPLEMENTED"


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


def summary(outcomes: Mapping[str, str]) -> str:
    """Return how many cases had which outcome, and which had another one than OK."""
    counts = Counter(outcomes.values())
    lines = [", ".join(f"{count} {text}" for text, count in counts.most_common())]
    for outcome in sorted(counts.keys() - {"OK"}):
        lines.append(f"{outcome}: {' '.join(in_groups(outcomes, outcome))}")
    return "\n".join(lines)


def outcomes(*selection: str) -> dict[str, str]:
    """Run cases and return the outcome of each.

    :param selection: options of the suite that say which; none: all.
    """
    with tempfile.TemporaryDirectory(prefix="autobahn-") as folder:
        directory = Path(folder)
        environment = {
            name: text for name, text in clean_environment().items() if not name.startswith("COV")
        }
        log = directory / "echo.log"
        with log.open("wb") as sink:
            echo = subprocess.Popen(
                [sys.executable, str(HERE / "echo_server.py"), "--port", "0"],
                stdout=sink, stderr=sink, env=environment,
            )
        try:
            subprocess.run(
                [
                    str(Path(sys.executable).with_name("kosoku")), *selection,
                    "--parallelism", str(os.cpu_count() or 1), "--outdir", str(directory),
                    f"ws://127.0.0.1:{_port_in(log)}/",
                ],
                env=environment, capture_output=True, timeout=FINISH_WITHIN, check=False,
            )
        finally:
            echo.kill()
            echo.wait()
        (agent,) = json.loads((directory / "index.json").read_text()).values()
    return {case: worse(each["behavior"], each["behaviorClose"]) for case, each in agent.items()}


def _port_in(log: Path) -> int:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if found := re.search(r"echo on port (\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(f"the echo server did not start: {log.read_text()}")
