"""The rules of the layout, as far as import contracts and linters cannot say them."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("wsmesh", "balancers", "failover")
SAYS_NOTHING = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
CONTRACTS = ConfigParser()
CONTRACTS.read(ROOT / "setup.cfg")
PURE = CONTRACTS["importlinter:contract:pure"]["source_modules"].split()


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def called(tree: ast.Module) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_every_file_begins_by_saying_what_it_is():
    silent = [name_of(path) for path in sources(*PACKAGES) if not ast.get_docstring(parsed(path))]

    assert silent == []


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_have_nothing_to_await(module):
    place = ROOT.joinpath(*module.split("."))
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    for path in paths:
        tree = parsed(path)
        waiting = [
            node for node in ast.walk(tree) if isinstance(node, (ast.AsyncFunctionDef, ast.Await))
        ]
        assert waiting == [], name_of(path)
        asked = imported(tree) & {"logging", "random", "socket", "time", "datetime"}
        assert asked == set(), name_of(path)


def test_only_the_command_line_prints():
    printing = [
        name_of(path)
        for path in sources(*PACKAGES)
        if {"print", "click.echo", "click.secho"} & called(parsed(path))
        and path.parent != ROOT / "wsmesh" / "cli"
    ]

    assert printing == []


def test_only_the_logs_configure_structlog():
    configuring = [
        name_of(path)
        for path in sources(*PACKAGES)
        if "structlog.configure" in called(parsed(path))
    ]

    assert configuring == ["wsmesh/logs.py"]


def test_nobody_dodges_a_cycle_with_type_checking():
    dodging = [
        name_of(path)
        for path in sources(*PACKAGES)
        if "typing.TYPE_CHECKING" in imported(parsed(path))
    ]

    assert dodging == []


def test_names_say_what_a_thing_is_for():
    vague = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in sources(*PACKAGES)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
        and node.name.lower().endswith(tuple(SAYS_NOTHING))
    ]
    vague += [name_of(path) for path in sources(*PACKAGES) if path.stem in SAYS_NOTHING]

    assert vague == []


def test_nobody_replaces_parts_of_the_code_in_a_test():
    mocking = [
        name_of(path)
        for path in sources("tests")
        if {name for name in imported(parsed(path)) if name.startswith("unittest.mock")}
    ]

    assert mocking == []


def test_the_import_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_nothing_else(tmp_path):
    source = tmp_path / "source"
    kept = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "node_modules")
    shutil.copytree(ROOT, source, ignore=kept)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
            "--wheel-dir", str(tmp_path), str(source),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("wsmesh-*.whl")
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", str(wheel)],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()[1:]
    names = [line.split()[0] for line in listing]

    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
