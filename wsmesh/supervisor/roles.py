"""What each process is started with: its command line, its environment, its descriptors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import msgspec
from attrs import frozen

from wsmesh.config.addresses import TCPAddress, parse_address
from wsmesh.config.redis_url import EMBEDDED
from wsmesh.config.sections import Config, Listener
from wsmesh.errors import ConfigError
from wsmesh.supervisor.affinity import core_of

GATEWAY = "gateway"


@frozen(kw_only=True)
class Role:
    """One process that is to be kept running.

    :param words: its command line.
    :param control: path of its control socket.
    :param fds: descriptors it inherits, under the same numbers.
    :param core: that it is bound to; None: any.
    """

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    control: str
    fds: tuple[int, ...] = ()
    core: int | None = None

    @property
    def is_gateway(self) -> bool:
        """Whether it is the gateway."""
        return self.name == GATEWAY


@frozen(kw_only=True)
class Cast:
    """Makes the roles of one host.

    :param config: what all of them are told, as the supervisor loaded it.
    :param program: begins every command line: the interpreter and `-m wsmesh`.
    :param common: options of the command line for all, such as `--config FILE`.
    :param public: further ones for who has the public addresses: `--host`, `--port`.
    :param environment: that the supervisor was started with.
    :param directory: for control sockets.
    :param log_format: "json" or "console".
    :param has_gateway: which has the public addresses; otherwise the nodes have them.
    :param shares_store: without a Redis of their own the nodes share an embedded one.
    :param cores: to bind nodes to; empty: they are not bound.
    """

    config: Config
    program: tuple[str, ...]
    common: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    environment: Mapping[str, str]
    directory: str
    log_format: str = "json"
    has_gateway: bool = True
    shares_store: bool = True
    cores: Sequence[int] = ()

    @property
    def nodes_directory(self) -> str:
        """Where the control sockets of nodes are, and nothing else."""
        return f"{self.directory}/nodes"

    def gateway(self, fds: Sequence[int]) -> Role:
        """Return the gateway's role.

        :param fds: its listening sockets, one for each listener.
        """
        control = f"{self.directory}/gateway.sock"
        return Role(
            name=GATEWAY, control=control, fds=tuple(fds),
            words=(*self.program, GATEWAY, *self.common, *self.public),
            environment=self._environment() | {
                "WSMESH_GATEWAY_CONTROL": control,
                "WSMESH_GATEWAY_CONTROL_DIR": self.nodes_directory,
                "WSMESH_GATEWAY_FDS": _json(list(fds)),
            },
        )

    def node(self, number: int) -> Role:
        """Return the role of a node.

        :param number: 1 for the first.
        :raises ConfigError: without a gateway, it cannot have an address of its own.
        """
        given = self.config.node.name
        name = f"{given or 'node'}-{number}"
        control = f"{self.nodes_directory}/node-{number}.sock"
        listeners = self._private() if self.has_gateway else self._own(number)
        return Role(
            name=name, control=control, words=(*self.program, *self.common),
            core=core_of(number, self.cores) if self.cores else None,
            environment=self._environment() | self._mesh(number) | {
                "WSMESH_NODE_NAME": name,
                "WSMESH_NODE_CONTROL": control,
                "WSMESH_LISTENERS": _json([attrs.asdict(each) for each in listeners]),
            },
        )

    def _environment(self) -> dict[str, str]:
        # One log: the supervisor writes it, with the name of who said what.
        environment = {
            **self.environment, "WSMESH_LOG_FILE": "", "WSMESH_LOG_FORMAT": self.log_format,
            # One address for all would be taken, and the gateway asks them itself.
            "WSMESH_AGENT_CHECK_ADDRESS": "",
        }
        if self.shares_store and not self.config.redis.url:
            environment["WSMESH_REDIS_URL"] = EMBEDDED
        return environment

    def _private(self) -> tuple[Listener, ...]:
        """Return the listeners of a node behind a gateway: for this host, wherever there is room.

        Clients do not come there but over the control socket, and with them those whose TLS is
        passed through; a node has a certificate only when it has a listener with TLS.
        """
        plain = Listener(address="127.0.0.1:0")
        config = self.config
        if config.gateway.tls == "pass" and any(each.tls for each in config.listeners):
            return plain, Listener(address="127.0.0.1:0", tls=True)
        return (plain,)

    def _own(self, number: int) -> tuple[Listener, ...]:
        """Return the listeners of a node without a gateway."""
        return tuple(
            each if each.reuse_port else attrs.evolve(each, address=_moved(each.address, number))
            for each in self.config.listeners
        )

    def _mesh(self, number: int) -> dict[str, str]:
        """Return where other nodes reach this one, if that is a fixed port."""
        cluster = self.config.cluster
        moved = {"WSMESH_CLUSTER_ADDRESS": _moved(cluster.address, number)}
        if ":" in cluster.advertise.rpartition("]")[2]:
            moved["WSMESH_CLUSTER_ADVERTISE"] = _moved(cluster.advertise, number)
        return moved


def _moved(text: str, number: int) -> str:
    """Return an address with a port of its own for this node, the first having the given one.

    :raises ConfigError: it has none.
    """
    address = parse_address(text)
    if isinstance(address, TCPAddress) and not address.port:
        return text
    if number == 1:
        return text
    if not isinstance(address, TCPAddress):
        raise ConfigError("supervisor.gateway", [
            f"several nodes cannot listen on {text} without a gateway; use one, or one node"
        ])
    port = address.port + number - 1
    if port > 65_535:
        raise ConfigError("supervisor.nodes", [f"node {number} has no port: {text} + {number - 1}"])
    return str(TCPAddress(address.host, port))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
