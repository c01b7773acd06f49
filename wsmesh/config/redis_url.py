"""What `[redis] url` says: the kind of deployment, its addresses, database, login."""

from __future__ import annotations

from enum import Enum
from typing import Any

from attrs import field, frozen

from wsmesh.config.values import quoted

EMBEDDED = "embedded"


class Deployment(Enum):
    """How Redis is deployed."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@frozen
class Address:
    """Where a server listens: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """As operators write it: `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen(kw_only=True)
class RedisURL:
    """A parsed `[redis] url`.

    :ivar addresses: the server, the sentinels, or some nodes of the cluster.
    :ivar service: name of the master that the sentinels watch.
    """

    deployment: Deployment
    addresses: tuple[Address, ...]
    database: int = 0
    service: str = ""
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)


_SCHEMES: dict[str, tuple[Deployment, bool]] = {
    "redis": (Deployment.STANDALONE, False),
    "rediss": (Deployment.STANDALONE, True),
    "unix": (Deployment.STANDALONE, False),
    "redis+sentinel": (Deployment.SENTINEL, False),
    "rediss+sentinel": (Deployment.SENTINEL, True),
    "redis+cluster": (Deployment.CLUSTER, False),
    "rediss+cluster": (Deployment.CLUSTER, True),
}
_PORTS = {Deployment.STANDALONE: 6379, Deployment.SENTINEL: 26379, Deployment.CLUSTER: 6379}
_KNOWN_PARTS = {"username", "password", "host", "port", "path", "db", "connection_class"}


def parse_redis_url(url: str) -> RedisURL:
    """Return what `url` says; each of its hosts is read by the `redis` package.

    :raises ValueError: it cannot be used; the message says why and shows no password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(
            f'expected "{EMBEDDED}" or a URL that begins with one of '
            + ", ".join(f"{name}://" for name in _SCHEMES) + f", found {quoted(scheme)}"
        )
    deployment, tls = _SCHEMES[scheme]
    if scheme == "unix":
        return _unix(url)
    if "#" in rest or "@" in rest.partition("/")[2] + rest.partition("?")[2]:
        raise ValueError("expected / ? # in a password as %2F %3F %23, or the option password")
    rest, _, query = rest.partition("?")
    hosts, _, path = rest.partition("/")
    login, at, hosts = hosts.rpartition("@")
    if query:
        raise ValueError("expected no ?parameters: each has an option of its own in [redis]")
    addresses = tuple(_address(host, _PORTS[deployment]) for host in hosts.split(","))
    if deployment is Deployment.STANDALONE and len(addresses) > 1:
        raise ValueError("expected one host, or redis+sentinel:// or redis+cluster://")
    facts = _parsed(f"redis://{login}{at}host")
    service, database = _place(deployment, path)
    return RedisURL(
        deployment=deployment, addresses=addresses, database=database, service=service, tls=tls,
        username=facts.get("username", ""), password=facts.get("password", ""),
    )


def _unix(url: str) -> RedisURL:
    facts = _parsed(url)
    if not str(facts.get("path", "")).startswith("/"):
        raise ValueError("expected unix:///PATH/OF/THE/SOCKET")
    if unknown := facts.keys() - _KNOWN_PARTS:
        raise ValueError(f"expected no parameter but db, found {quoted(min(unknown))}")
    return RedisURL(
        deployment=Deployment.STANDALONE,
        addresses=(Address(path=str(facts["path"])),),
        database=int(facts.get("db", 0)),
        username=facts.get("username", ""),
        password=facts.get("password", ""),
    )


def _address(host: str, port: int) -> Address:
    facts = _parsed(f"redis://{host}") if host else {}
    if not facts.get("host"):
        raise ValueError(f"expected HOST:PORT, found {quoted(host)}")
    return Address(facts["host"], facts.get("port", port))


def _place(deployment: Deployment, path: str) -> tuple[str, int]:
    """Return the sentinels' service and the database that the path names."""
    service = ""
    if deployment is Deployment.SENTINEL:
        service, _, path = path.partition("/")
        if not service:
            raise ValueError("expected the name of the watched master: redis+sentinel://HOSTS/NAME")
    if path and not (path.isascii() and path.isdigit()):
        raise ValueError(f"expected the number of a database after the host, found {quoted(path)}")
    database = int(path or 0)
    if database and deployment is Deployment.CLUSTER:
        raise ValueError(f"expected database 0, the only one of a cluster, found {database}")
    return service, database


def _parsed(url: str) -> dict[str, Any]:
    # Loading the package takes long, and only a node with Redis needs it.
    from redis.connection import parse_url

    try:
        return dict(parse_url(url))  # type: ignore[no-untyped-call]  # theirs
    except ValueError:
        raise ValueError("expected a URL; one of its parts cannot be read") from None
