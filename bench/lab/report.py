"""What a benchmark says: progress on stderr, figures and the verdict on stdout, JSON on request."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import define, field, frozen


@frozen
class Rounds:
    """The same figure from several rounds."""

    name: str
    values: Sequence[float]
    unit: str

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        spread = f"of {len(self.values)}: {low:.2f}-{high:.2f}"
        return f"{self.name}: {self.median:.2f} {self.unit} ({spread})"


@define
class Report:
    """Collects claims; `finish` prints the verdict and ends the process with its status."""

    benchmark: str
    json_file: Path | None = None
    claims: list[tuple[str, bool]] = field(factory=list)
    doubts: list[str] = field(factory=list)
    figures: dict[str, object] = field(factory=dict)

    def progress(self, text: str) -> None:
        """Say what is going on."""
        click.echo(f"[{self.benchmark}] {text}", err=True)

    def show(self, rounds: Rounds) -> None:
        """Print a figure and keep it for the JSON line."""
        click.echo(f"  {rounds}")
        self.figures[rounds.name] = {"unit": rounds.unit, "rounds": list(rounds.values)}

    def note(self, name: str, value: object) -> None:
        """Print a fact that is no target."""
        click.echo(f"  {name}: {value}")
        self.figures[name] = value

    def claim(self, text: str, *, holds: bool) -> None:
        """Add a target with both figures in its text, and whether it is reached."""
        click.echo(f"  {'PASS' if holds else 'FAIL'} {text}")
        self.claims.append((text, holds))

    def doubt(self, text: str) -> None:
        """Say why a failure may not be the server's."""
        click.echo(f"  doubt: {text}")
        self.doubts.append(text)

    def compare(self, ours: Rounds, theirs: Rounds, *, at_most: float) -> None:
        """Claim that our figure is at most so many times theirs."""
        ratio = ours.median / theirs.median
        self.claim(
            f"{ours.name} {ours.median:.2f} / {theirs.name} {theirs.median:.2f} {ours.unit} "
            f"= {ratio:.2f} (target <= {at_most:g})",
            holds=ratio <= at_most,
        )

    def better(self, ours: Rounds, theirs: Rounds, *, at_least: float) -> None:
        """Claim that theirs costs at least so many times what ours costs."""
        ratio = theirs.median / ours.median
        self.claim(
            f"{theirs.name} {theirs.median:.2f} / {ours.name} {ours.median:.2f} {ours.unit} "
            f"= {ratio:.2f} (target >= {at_least:g})",
            holds=ratio >= at_least,
        )

    def finish(self) -> None:
        """Print the verdict line; exit 0 if every claim holds, 3 if one is in doubt, else 1."""
        failed = [text for text, holds in self.claims if not holds]
        word = "PASS" if not failed else "INCONCLUSIVE" if self.doubts else "FAIL"
        if self.json_file is not None:
            self._write_json(self.json_file, word)
        shown = "; ".join(text for text, _ in self.claims)
        click.echo(f"{self.benchmark}: {word}: {shown}")
        sys.exit({"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}[word])

    def _write_json(self, path: Path, word: str) -> None:
        line = {
            "benchmark": self.benchmark,
            "verdict": word,
            "claims": [{"text": text, "holds": holds} for text, holds in self.claims],
            "doubts": self.doubts,
            "figures": self.figures,
            **machine(),
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def machine() -> dict[str, object]:
    """Where and what was measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent, capture_output=True, text=True,
    )
    return {
        "commit": commit.stdout.strip(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "arguments": sys.argv[1:],
    }
