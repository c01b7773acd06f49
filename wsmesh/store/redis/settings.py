"""What the link has to know: the configuration, with the URL taken apart and the files read."""

from __future__ import annotations

from attrs import field, frozen

from wsmesh.config.redis import RedisSection
from wsmesh.config.redis_url import RedisURL, parse_redis_url
from wsmesh.store.redis.tls import TLS, tls_of


@frozen(kw_only=True)
class Login:
    """How a connection introduces itself.

    :ivar name: shown by CLIENT LIST.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    name: str = "wsmesh"


@frozen(kw_only=True)
class Bounds:
    """Deadlines in seconds, sizes in bytes."""

    timeout: float = 1.0
    connect_timeout: float = 1.0
    max_in_flight: int = 10_000
    max_buffer: int = 16 * 1024 * 1024

    @property
    def silence(self) -> float:
        """Seconds after which a connection that owes replies and says nothing is given up.

        Three deadlines, so that a server that stalls is not also burdened with new logins.
        """
        return 3 * self.timeout


@frozen(kw_only=True)
class Settings:
    """Everything about the link to Redis."""

    target: RedisURL
    login: Login
    sentinel_login: Login
    bounds: Bounds
    tls: TLS | None = None


def settings_of(section: RedisSection, name: str) -> Settings:
    """Return what `[redis]` says; its options win over the parts of its URL.

    :param name: of this node.
    :raises ConfigError: a TLS file cannot be used.
    :raises ValueError: the url cannot be used.
    """
    target = parse_redis_url(section.url)
    # CLIENT SETNAME takes neither spaces nor line ends.
    name = "".join(each if each.isprintable() and each != " " else "-" for each in name)
    return Settings(
        target=target,
        login=Login(
            username=section.username or target.username,
            password=section.password.value or target.password,
            database=target.database, name=name or "wsmesh",
        ),
        sentinel_login=Login(
            username=section.sentinel_username, password=section.sentinel_password.value,
            name=name or "wsmesh",
        ),
        bounds=Bounds(
            timeout=section.timeout, connect_timeout=section.connect_timeout,
            max_in_flight=section.max_in_flight, max_buffer=section.max_buffer,
        ),
        tls=tls_of(section) if target.tls else None,
    )
