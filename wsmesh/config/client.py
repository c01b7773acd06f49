"""Options of clients: who may connect, with which tokens, and how a connection behaves."""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.values import PublicKey, Seconds, Secret, at_least, option, within


@frozen(kw_only=True)
class TokenSection:
    """Keys that sign tokens; each key pins its algorithm family."""

    hmac_secret_key: Secret = option(
        Secret(), "HS256, HS384, HS512: shared secret of at least 32 bytes."
    )
    rsa_public_key: PublicKey = option(
        PublicKey(""), "RS256, RS384, RS512: PEM public key, or file:PATH."
    )
    ecdsa_public_key: PublicKey = option(
        PublicKey(""), "ES256, ES384, ES512: PEM public key, or file:PATH."
    )
    eddsa_public_key: PublicKey = option(
        PublicKey(""), "EdDSA: PEM Ed25519 public key, or file:PATH."
    )
    jwks_public_endpoint: str = option("", "URL of a JSON Web Key Set; needs issuer.")
    jwks_cache_ttl: Seconds = option(
        Seconds(3600.0), "How long fetched keys are trusted.", validator=at_least(1)
    )
    audience: str = option("", "Required aud claim.")
    issuer: str = option("", "Required iss claim.")
    leeway: Seconds = option(
        Seconds(10.0), "Tolerated clock difference for exp and nbf.", validator=within(0, 300)
    )
    user_id_claim: str = option("sub", "Claim that names the user.")


@frozen(kw_only=True)
class SubscriptionTokenSection(TokenSection):
    """`[client.subscription_token]`: separate keys for subscription tokens."""

    enabled: bool = option(False, "Use these keys instead of [client.token] for subscriptions.")


@frozen(kw_only=True)
class PersonalChannelSection:
    """`[client.subscribe_to_user_personal_channel]`."""

    enabled: bool = option(False, "Subscribe every user to the channel #USER on connect.")
    personal_channel_namespace: str = option("", "Namespace of the personal channel.")
    single_connection: bool = option(False, "A user's new connection ends the older ones.")


@frozen(kw_only=True)
class ClientSection:
    """`[client]`: who may connect and how a connection behaves."""

    allowed_origins: tuple[str, ...] = option(
        (),
        "Origins of web pages that may connect, such as https://app.example.com, "
        'https://*.example.com or "*"; empty: only the host the page came from.',
        reloadable=True,
    )
    token: TokenSection = option(TokenSection, "Keys of connection tokens.", reloadable=True)
    subscription_token: SubscriptionTokenSection = option(
        SubscriptionTokenSection, "Keys of subscription tokens.", reloadable=True
    )
    allow_anonymous_connect_without_token: bool = option(
        False, "Clients without a token connect as the anonymous user.", reloadable=True
    )
    subscribe_to_user_personal_channel: PersonalChannelSection = option(
        PersonalChannelSection, "Personal channels.", reloadable=True
    )
    ping_interval: Seconds = option(
        Seconds(25.0), "How often a client is pinged; 0 never.", validator=at_least(0)
    )
    pong_timeout: Seconds = option(
        Seconds(8.0), "How long its pong may take; 0 expects none.", validator=at_least(0)
    )
    stale_close_delay: Seconds = option(
        Seconds(5.0),
        "How long a socket may stay open without a connect command (limit hello_timeout).",
        validator=at_least(0.05), reloadable=True,
    )
    expired_close_delay: Seconds = option(
        Seconds(25.0), "Grace after expiry for a refresh.", validator=at_least(0), reloadable=True
    )
    channel_limit: int = option(
        128, "Subscriptions of one connection.", validator=at_least(1), reloadable=True
    )
    user_connection_limit: int = option(
        0, "Connections of one user on this node; 0: no limit.", validator=at_least(0),
        reloadable=True,
    )
    command_queue_limit: int = option(
        256, "Commands of one client that may wait for their turn.", validator=at_least(1),
        reloadable=True,
    )
    session_ttl: Seconds = option(
        Seconds(600.0),
        "How long a session can be continued after its node was killed, by clients that ask to.",
        validator=at_least(1),
    )
    max_connection_age: Seconds = option(
        Seconds(0.0),
        "After about this time (a tenth more or less) a client is sent away to be placed anew, so "
        "that new nodes fill; 0: never.",
        validator=at_least(0), reloadable=True,
    )
    history_max_publication_limit: int = option(
        300, "Publications one history call returns at most.", validator=at_least(1),
        reloadable=True,
    )
    recovery_max_publication_limit: int = option(
        300, "Publications one recovery returns at most.", validator=at_least(1),
        reloadable=True,
    )
    presence_update_interval: Seconds = option(
        Seconds(27.0), "How often presence of live clients is renewed.", validator=at_least(0.1)
    )
    presence_ttl: Seconds = option(
        Seconds(60.0), "How long presence survives without renewal.", validator=at_least(0.2)
    )
