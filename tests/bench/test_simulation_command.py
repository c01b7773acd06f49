"""`python -m bench simulate` writes everything it promises, byte for byte the same again."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.simulate import main
from bench.simulation.measures import METRICS
from bench.simulation.outcome import Task, carry_out
from bench.simulation.scenario import load
from bench.simulation.writing import paired, summarized

ROOT = Path(__file__).parents[2]

SMALL = """
about = "A small cluster that loses a node and gets another."
duration = 60
warm_up = 10
headline = "max_avg"

[[nodes]]
count = 4
capacity = 200

[sessions]
initial = 200
ramp = 5
arrival_rate = 5
mean_life = 40
keys = 50
hot_share = 0.1

[[events]]
at = 20
kind = "crash"
nodes = [1]

[[events]]
at = 30
kind = "join"
group = { capacity = 200 }
"""
STRATEGIES = ("p2c", "round_robin", "random+slow_start")
CHOSEN = [part for name in STRATEGIES for part in ("--strategy", name)]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    file = tmp_path_factory.mktemp("scenario") / "small.toml"
    file.write_text(SMALL)
    return file


@pytest.fixture(scope="module")
def results(small, tmp_path_factory):
    pytest.importorskip("matplotlib", reason="comes with the extra `test`")
    out = tmp_path_factory.mktemp("results")
    arguments = ["--scenario", str(small), *CHOSEN, "--quick", "--jobs", "1", "--out", str(out)]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0, ran.output
    return out, ran.output


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_runs_and_samples_name_what_reproduces_them(results, small):
    out, _ = results
    runs = lines(out / "runs.jsonl")
    samples = lines(out / "samples.jsonl")

    assert [(run["strategy"], run["seed"]) for run in runs] == [
        (name, seed) for name in STRATEGIES for seed in (1, 2, 3)
    ]
    assert {each["scenario_hash"] for each in runs + samples} == {load(small).digest}
    assert {each["version"] for each in runs} != {""}
    assert len(samples) == 9 * 61
    assert all(sum(each["loads"]) > 0 for each in samples if each["at"] > 10)


def test_the_summary_has_a_median_for_every_metric(results):
    out, _ = results
    with (out / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert {row["metric"] for row in rows} == set(METRICS)
    assert {row["strategy"] for row in rows} == set(STRATEGIES)
    assert all(float(row["low"]) <= float(row["median"]) <= float(row["high"]) for row in rows)
    assert {row["runs"] for row in rows} == {"3"}


def test_the_tables_show_every_strategy_with_its_interval(results):
    out, said = results
    page = (out / "summary.md").read_text()

    for name in STRATEGIES:
        assert f"| {name} |" in page
        assert name in said
    assert "max/avg, over time, minus p2c" in page
    assert "per second of processor time" in said


def test_every_plot_is_there_twice_and_shows_something(results):
    plots = results[0] / "plots"
    names = {path.stem for path in plots.iterdir()}

    assert names == {
        "small-balance", "small-loads", "small-metrics", "small-newcomer", "imbalance-churn"
    }
    for name in names:
        assert (plots / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (plots / f"{name}.png").stat().st_size > 10_000
        svg = (plots / f"{name}.svg").read_text()
        for text in STRATEGIES:
            assert f"<!-- {text} -->" in svg
        if name != "small-metrics":
            assert "<!-- ideal -->" in svg


def test_other_processes_and_hash_seeds_write_the_same_bytes(results, small, tmp_path):
    out, _ = results
    command = [sys.executable, "-m", "bench", "simulate", "--scenario", str(small), *CHOSEN]
    ran = subprocess.run(
        [*command, "--quick", "--jobs", "2", "--out", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr

    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()
    )
    for name in files:
        assert (out / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_differences_are_taken_run_by_run(small):
    scenario = load(small)
    done = [
        carry_out(Task(scenario, name, seed)) for name in ("p2c", "random") for seed in (1, 2, 3)
    ]
    gaps = paired(done, "max_avg", "p2c")
    of = {(each.strategy, each.seed): each.figures["max_avg"] for each in done}

    assert gaps["small", "p2c"].median == 0
    expected = sorted(of["random", seed] - of["p2c", seed] for seed in (1, 2, 3))[1]
    assert gaps["small", "random"].median == expected
    assert summarized(done)["small", "p2c", "max_avg"].runs == 3


def test_a_million_picks_can_be_asked_for():
    ran = CliRunner().invoke(main, ["--picks", "5000", "--strategy", "p2c", "--nodes", "5"])

    assert ran.exit_code == 0
    name, speed, most, least = ran.output.splitlines()[1].split()
    assert name == "p2c"
    assert int(speed.replace(",", "")) > 0
    assert 1 <= float(most) < 1.05 > float(least) > 0.95


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "p2d"], "did you mean p2c"),
        (["--scenario", "strom"], "did you mean storm"),
        (["--scenario", "{file}"], "did you mean max_avg"),
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_a_mistake_ends_the_command_with_the_nearest_name(arguments, said, tmp_path):
    file = tmp_path / "odd.toml"
    file.write_text(SMALL.replace('"max_avg"', '"max_agv"'))
    ran = CliRunner().invoke(main, [each.format(file=file) for each in arguments])

    assert ran.exit_code == 2
    assert said in ran.output


def test_results_without_plots_need_no_matplotlib(small, tmp_path):
    without = (
        "import sys; sys.modules['matplotlib'] = None; sys.argv[0] = 'simulate';"
        "from bench.simulate import main; main()"
    )
    common = ["--scenario", str(small), "--strategy", "p2c", "--seeds", "1", "--jobs", "1"]

    def run(*more):
        return subprocess.run(
            [sys.executable, "-c", without, *common, "--out", str(tmp_path / "out"), *more],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )

    assert run("--no-plots").returncode == 0
    assert (tmp_path / "out" / "summary.md").exists()
    refused = run()
    assert refused.returncode == 2
    assert "pip install 'wsmesh[bench]'" in refused.stderr


def test_the_help_teaches_by_examples():
    said = CliRunner().invoke(main, ["--help"]).output

    for text in ("--quick", "storm", "p2c+slow_start:window=60", "--picks 1000000", "paired"):
        assert text in said
