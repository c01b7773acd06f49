"""`cluster restart`, and two releases side by side: `releases`, `weigh`, `promote`, `rollback`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import click

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.cluster_access import KEY, TIMEOUT, URL, api_of, node_reader
from wsmesh.cli.kinds import DURATION
from wsmesh.config.sections import Config
from wsmesh.session.orders import NodeInfo

_LOOK = 0.25
"""Seconds between looks at the cluster."""

_SLACK = 10.0
"""Seconds that a node may take beyond its shutdown_timeout."""

Read = Callable[[], list[NodeInfo]]


@click.command(epilog="""\b
Examples:
  python -m wsmesh cluster restart --config wsmesh.toml
  python -m wsmesh cluster restart node-2 node-3 --patience 2m --config wsmesh.toml
""")
@click.argument("nodes", nargs=-1)
@click.option(
    "--patience", type=DURATION, default="60s", show_default=True, metavar="DURATION",
    help="How long another node may take to come for the one that ended.",
)
@URL
@KEY
@TIMEOUT
@with_choices
def restart(
    choices: Choices, nodes: Sequence[str], patience: float, url: str | None,
    api_key: str | None, timeout: float,
) -> None:
    """Restart NODES (names or ids; none: all), one after the other.

    Each drains and ends; whatever runs it (up, systemd, Kubernetes) must start it again. The next
    one waits until as many nodes are alive as before. A node that does not come back ends it.
    """
    config = choices.load().config
    read = node_reader(config, url, api_key, timeout)
    there = [each for each in read() if each.state == "alive"]
    chosen = [each for each in there if not nodes or {each.uid, each.name} & set(nodes)]
    unknown = set(nodes) - {name for each in chosen for name in (each.uid, each.name)}
    if unknown or not chosen:
        raise click.ClickException(f"no such node is alive: {', '.join(sorted(unknown)) or 'none'}")
    for number, node in enumerate(chosen, 1):
        # The node that is asked may be the one that went before.
        api_of(config, url, api_key, timeout).call("drain", {"node": node.uid})
        drained = wait_gone(node, read, config.node.shutdown_timeout)
        replaced = _wait(lambda: _alive(read) >= len(there), patience)
        if replaced is None:
            raise click.ClickException(
                f"{node.name} did not come back within {patience:g} s: is it run by something "
                f"that starts it again? {number - 1} of {len(chosen)} were restarted"
            )
        click.echo(
            f"[{number}/{len(chosen)}] {node.name}: {node.num_clients} clients left in "
            f"{drained:.1f} s, replaced after {replaced:.1f} s"
        )


def wait_gone(node: NodeInfo, read: Read, within: float) -> float:
    """Block until a node has left the cluster; return the seconds it took.

    :param within: seconds, its shutdown_timeout.
    :raises click.ClickException: it is still there.
    """
    who = (node.uid, node.incarnation)
    took = _wait(
        lambda: all((each.uid, each.incarnation) != who for each in read()), within + _SLACK
    )
    if took is None:
        raise click.ClickException(f"{node.name} is still there after {within + _SLACK:g} s")
    return took


def _alive(read: Read) -> int:
    return sum(each.state == "alive" for each in read())


def _wait(condition: Callable[[], bool], within: float) -> float | None:
    """Block until something holds; return the seconds it took, None: it never did."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > within:
            return None
        time.sleep(_LOOK)
    return time.perf_counter() - began


@click.command()
@TIMEOUT
@with_choices
def releases(choices: Choices, timeout: float) -> None:
    """Show the releases: nodes, clients, and which share of its weight each has."""
    _show(choices.load().config, timeout)


@click.command(epilog="""\b
Examples:
  python -m wsmesh cluster weigh green=0 --config wsmesh.toml      before green is started
  python -m wsmesh cluster weigh green=0.1 --config wsmesh.toml    a tenth of its fair share
""")
@click.argument("shares", nargs=-1, required=True, metavar="RELEASE=SHARE...")
@TIMEOUT
@with_choices
def weigh(choices: Choices, shares: Sequence[str], timeout: float) -> None:
    """Set which share (0 to 1) of its nodes' weight a release has; others stay as they are.

    New clients go to releases by these; those that are connected stay.
    """
    config = choices.load().config
    wanted = dict(_share(each) for each in shares)
    _, now = _read(config, timeout)
    _set(config, timeout, {**now, **wanted})
    _show(config, timeout)


@click.command(epilog="""\b
Examples:
  python -m wsmesh cluster promote green --config wsmesh.toml
  python -m wsmesh cluster promote green --move 2m --config wsmesh.toml
""")
@click.argument("release")
@click.option(
    "--move", type=DURATION, metavar="DURATION",
    help="Also send clients of the other releases there, within this time. Their nodes stay, for "
    "a rollback.",
)
@URL
@KEY
@TIMEOUT
@with_choices
def promote(
    choices: Choices, release: str, move: float | None, url: str | None, api_key: str | None,
    timeout: float,
) -> None:
    """Give RELEASE its whole weight and all others none: new clients go there only."""
    config = choices.load().config
    nodes, now = _read(config, timeout)
    seen = {node.release for node in nodes}
    if release not in seen:
        raise click.ClickException(
            f"no node is of release {release!r}; there is {', '.join(sorted(seen)) or 'none'}"
        )
    _set(config, timeout, dict.fromkeys([*now, *seen], 0.0) | {release: 1.0})
    if move is not None:
        _move_all(config, url, api_key, timeout, move)
    _show(config, timeout)


@click.command(epilog="""\b
Examples:
  python -m wsmesh cluster rollback --move 30s --config wsmesh.toml
""")
@click.option(
    "--move", type=DURATION, metavar="DURATION",
    help="Also send clients away from nodes that have no weight then, within this time.",
)
@URL
@KEY
@TIMEOUT
@with_choices
def rollback(
    choices: Choices, move: float | None, url: str | None, api_key: str | None, timeout: float
) -> None:
    """Undo the last `weigh` or `promote`; once more undoes that."""
    config = choices.load().config
    _set(config, timeout, {})
    if move is not None:
        _move_all(config, url, api_key, timeout, move)
    _show(config, timeout)


def _share(text: str) -> tuple[str, float]:
    release, equals, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not (release and equals and 0 <= value <= 1):
        raise click.BadParameter(
            f"expected RELEASE=SHARE with a share from 0 to 1, found {text!r}",
            param_hint="RELEASE=SHARE",
        )
    return release, value


def _read(config: Config, timeout: float) -> tuple[list[NodeInfo], Mapping[str, float]]:
    """Return the nodes, and the shares that are set."""
    from wsmesh.cli.cluster_store import read_releases  # trio and redis, only when they are used

    return read_releases(_clustered(config), timeout)


def _set(config: Config, timeout: float, shares: Mapping[str, float]) -> None:
    from wsmesh.cli.cluster_store import set_releases

    set_releases(_clustered(config), timeout, shares)


def _clustered(config: Config) -> Config:
    if not config.redis.url:
        raise click.UsageError("releases are weighed in [redis] url, which is empty")
    return config


def _move_all(
    config: Config, url: str | None, api_key: str | None, timeout: float, within: float
) -> None:
    """Send clients away from nodes without weight, once the nodes know that they have none."""
    patience = 2 * config.node.heartbeat_interval + _SLACK
    if _wait(lambda: _have_noticed(*_read(config, timeout)), patience) is None:
        raise click.ClickException("nodes have not taken over their weights: is Redis slow?")
    api = api_of(config, url, api_key, timeout)
    for node in (each for each in _read(config, timeout)[0] if not each.weight):
        api.call("move", {"node": node.uid, "within": within})
        click.echo(f"{node.name}: {node.num_clients} clients go within {within:g} s")


def _have_noticed(nodes: Sequence[NodeInfo], shares: Mapping[str, float]) -> bool:
    """Whether nodes have weight just where their release has."""
    return all(bool(node.weight) is bool(shares.get(node.release, 1.0)) for node in nodes)


def _show(config: Config, timeout: float) -> None:
    nodes, shares = _read(config, timeout)
    counts, clients = Counter[str](), Counter[str]()
    for node in nodes:
        counts[node.release] += 1
        clients[node.release] += node.num_clients
    width = max((len(name) for name in (*counts, *shares)), default=7)
    click.echo(f"{'release':<{width}}  nodes  clients  share")
    for name in sorted({*counts, *shares}):
        share = f"{shares.get(name, 1.0):g}"
        click.echo(f"{name:<{width}}  {counts[name]:>5}  {clients[name]:>7}  {share:>5}")
