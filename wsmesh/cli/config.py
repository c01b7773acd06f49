"""`config`: check a configuration, show the effective one, write a commented default file."""

from __future__ import annotations

import json

import click

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.config.loading import DEFAULT
from wsmesh.config.reference import reference
from wsmesh.config.showing import listing, table


@click.group(epilog="""\b
Examples:
  python -m wsmesh config default > wsmesh.toml
  python -m wsmesh config check --config wsmesh.toml
  python -m wsmesh config print --config wsmesh.toml | grep -v '# default$'
""")
def config() -> None:
    """Check, print or begin a configuration."""


@config.command()
@with_choices
def check(choices: Choices) -> None:
    """Check a configuration without starting a node.

    Every fault is reported, one line each, with the option's path, what was expected, what was
    found, and the nearest known name for a typo. Status 0: it can be used; 2: it cannot.
    """
    loaded = choices.load()
    for advice in loaded.advice:
        click.echo(f"wsmesh: note: {advice}", err=True)
    chosen = sum(origin != DEFAULT for origin in loaded.origins.values())
    source = loaded.path or "configuration"
    click.echo(f"{source}: ok, {chosen} of {len(loaded.origins)} options set")


@config.command(name="print")
@click.option("--json", "as_json", is_flag=True, help="As JSON: path to value and origin.")
@with_choices
def print_effective(choices: Choices, as_json: bool) -> None:
    """Print the effective value of every option and where it comes from.

    Secrets are shown as asterisks when they are set.
    """
    loaded = choices.load()
    if as_json:
        click.echo(json.dumps(listing(loaded.config, loaded.origins), indent=2))
    else:
        click.echo(table(loaded.config, loaded.origins))


@config.command()
def default() -> None:
    """Print a TOML file with every option, its meaning, kind and default."""
    click.echo(reference(), nl=False)
