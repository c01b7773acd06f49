"""`token`: make the JSON Web Tokens that clients connect and subscribe with."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from wsmesh.cli.choices import Choices, with_choices
from wsmesh.cli.kinds import DURATION, JSON_TEXT
from wsmesh.config.sections import Config, TokenSection
from wsmesh.errors import ConfigError


@click.command(epilog="""\b
Examples:
  python -m wsmesh token --config wsmesh.toml --user alice
  python -m wsmesh token -c wsmesh.toml --user alice --info '{"name": "Alice"}' --channels news
  python -m wsmesh token -c wsmesh.toml --user alice --channel '$private' --expire-in 1h

\b
The secret is client.token.hmac_secret_key of the configuration, so
  export WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY=$(openssl rand -hex 32)
is enough to begin with: the node must be started with the same.
""")
@click.option("--user", default="", metavar="ID", help='Who it is for; "": an anonymous user.')
@click.option(
    "--channel", metavar="CHANNEL",
    help="Make a subscription token for this channel instead of a connection token.",
)
@click.option(
    "--expire-in", type=DURATION, default="7d", show_default=True, metavar="DURATION",
    help="How long it is good for; 0: for ever.",
)
@click.option(
    "--info", type=JSON_TEXT, metavar="JSON", help="What others see of this user in presence.",
)
@click.option(
    "--channels", multiple=True, metavar="CHANNEL",
    help="Subscribe the connection to this channel from the server's side (may be repeated).",
)
@with_choices
def token(
    choices: Choices, user: str, channel: str | None, expire_in: float, info: bytes | None,
    channels: tuple[str, ...],
) -> None:
    """Make a connection token, or with --channel a subscription token, and print it."""
    if channel is not None and channels:
        raise click.UsageError("--channels is for connection tokens, --channel makes another kind")
    config = choices.load().config
    section, path = _signing_section(config, for_subscription=channel is not None)
    secret = section.hmac_secret_key.value
    if not secret:
        raise ConfigError("wsmesh", _advice_without_secret(path, config.node.dev))
    claims = claims_of(
        section, user, now=int(time.time()), expire_in=expire_in, info=info, channel=channel,
        channels=channels,
    )

    import jwt  # 60 ms

    click.echo(jwt.encode(claims, secret, algorithm="HS256"))


def claims_of(
    section: TokenSection, user: str, *, now: int, expire_in: float, info: bytes | None = None,
    channel: str | None = None, channels: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the claims of a token that a node with these keys accepts.

    :param now: Unix time in seconds.
    :param expire_in: seconds; 0 makes a token that does not expire.
    """
    claims: dict[str, Any] = {section.user_id_claim: user, "iat": now}
    if expire_in:
        claims["exp"] = now + max(1, round(expire_in))
    if section.audience:
        claims["aud"] = section.audience
    if section.issuer:
        claims["iss"] = section.issuer
    if info is not None:
        claims["info"] = msgspec.json.decode(info)
    if channel is not None:
        claims["channel"] = channel
    if channels:
        claims["channels"] = list(channels)
    return claims


def _signing_section(config: Config, *, for_subscription: bool) -> tuple[TokenSection, str]:
    if for_subscription and config.client.subscription_token.enabled:
        return config.client.subscription_token, "client.subscription_token"
    return config.client.token, "client.token"


def _advice_without_secret(path: str, dev: bool) -> list[str]:
    variable = f"WSMESH_{path.replace('.', '_').upper()}_HMAC_SECRET_KEY"
    lines = [
        f"{path}.hmac_secret_key: expected a secret to sign with, found none",
        f"for one: export {variable}=$(openssl rand -hex 32), then start the node with it too",
    ]
    if dev:
        lines.append("in dev mode clients also connect without any token, as anonymous users")
    return lines
