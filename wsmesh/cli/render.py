"""`render`: configurations of other load balancers."""

from __future__ import annotations

from pathlib import Path

import click

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.config.addresses import TCPAddress, parse_address
from wsmesh.config.sections import Config
from wsmesh.rendering.envoy import envoy
from wsmesh.rendering.haproxy import haproxy
from wsmesh.rendering.nginx import nginx
from wsmesh.rendering.upstream import Upstream

RENDERERS = {"haproxy": haproxy, "nginx": nginx, "envoy": envoy}


@click.command(epilog="""\b
Examples:
  python -m wsmesh render haproxy --config wsmesh.toml > haproxy.cfg
  python -m wsmesh render nginx --nodes 10.0.0.1:8000,10.0.0.2:8000 --listen 0.0.0.0:80
  python -m wsmesh render envoy --config wsmesh.toml --output envoy.json

\b
What the balancer cannot do that the gateway does is said on standard error, and
at the top of the file. Put the balancer's address into [proxy] trusted_proxies
of the nodes, so that they see the clients' addresses.
""")
@click.argument("balancer", type=click.Choice([*RENDERERS]))
@click.option("--nodes", metavar="HOST:PORT,...",
              help="The nodes; otherwise those that are now in [redis].")
@click.option("--listen", metavar="HOST:PORT",
              help="Where clients connect; default 0.0.0.0:80, with [tls] certificate 0.0.0.0:443.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write there instead of standard output.")
@with_choices
def render(
    choices: Choices, balancer: str, nodes: str | None, listen: str | None, output: Path | None
) -> None:
    """Print a configuration of haproxy, nginx or envoy for these nodes.

    It has the algorithm nearest to [balancer] strategy, keys as [affinity] says, health checks,
    and timeouts that leave idle WebSockets open.
    """
    config = choices.load().config
    upstreams = _named(nodes) if nodes else _registered(config)
    default = "0.0.0.0:443" if config.tls.certificate else "0.0.0.0:80"
    made = RENDERERS[balancer](config, upstreams, _address(listen or default, "--listen"))
    for each in made.lost:
        click.echo(f"wsmesh: lost: {each}", err=True)
    if output is None:
        click.echo(made.text, nl=False)
    else:
        output.write_text(made.text)


def _named(nodes: str) -> list[Upstream]:
    addresses = [_address(text.strip(), "--nodes") for text in nodes.split(",")]
    return [Upstream(f"node-{number}", each) for number, each in enumerate(addresses, 1)]


def _registered(config: Config) -> list[Upstream]:
    if not config.redis.url:
        raise click.UsageError("say which nodes with --nodes, or in which [redis] they are")
    from wsmesh.cli.cluster_store import read_members  # trio and redis, only when they are used

    members = [each for each in read_members(config, timeout=5.0) if each.address]
    if not members:
        raise click.ClickException("no node of the cluster is alive: say which with --nodes")
    return [
        Upstream(f"node-{number}", _address(each.address, "[redis]"), each.weight)
        for number, each in enumerate(sorted(members, key=lambda each: each.id), 1)
    ]


def _address(text: str, option: str) -> TCPAddress:
    try:
        address = parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    if not isinstance(address, TCPAddress):
        raise click.BadParameter(f"expected HOST:PORT, found {text}", param_hint=option)
    return address
