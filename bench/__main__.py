"""`python -m bench`: lists the benchmarks; `python -m bench NAME [options]` runs one."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path

import click


def benchmarks() -> dict[str, str]:
    """Name and first docstring line of every benchmark: the files beside this one."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if not path.stem.startswith("_"):
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            found[path.stem] = text.partition("\n")[0]
    return found


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("name", required=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(name: str | None, options: tuple[str, ...]) -> None:
    """Run the benchmark NAME with its OPTIONS, or list all."""
    known = benchmarks()
    if name is None or name in ("-h", "--help"):
        click.echo("usage: python -m bench NAME [--quick] [--help]\n")
        for each, text in known.items():
            click.echo(f"  {each:<16} {text}")
        return
    if name not in known:
        raise click.UsageError(f"no benchmark {name!r}; there are {', '.join(known)}")
    program = f"python -m bench {name}"
    sys.argv = [program, *options]  # reports tell it
    benchmark = import_module(f"bench.{name}").main
    if isinstance(benchmark, click.Command):
        benchmark.main(args=options, prog_name=program)
    else:
        benchmark()


if __name__ == "__main__":
    main()
