"""`token` makes tokens that a node with the same configuration accepts."""

from __future__ import annotations

import time

import jwt
import pytest

from wsmesh.config.sections import ClientSection, TokenSection
from wsmesh.config.values import Secret
from wsmesh.security.authenticator import Authenticator

SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"
OTHER = "0ther0-0ther0-0ther0-0ther0-0ther0"
KEY = {"WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY": SECRET}


def authenticator(**options) -> Authenticator:
    return Authenticator(
        ClientSection(token=TokenSection(hmac_secret_key=Secret(SECRET), **options))
    )


def test_a_connection_token_is_accepted_by_the_node(invoke):
    result = invoke(
        "token", "--user", "alice", "--info", '{"name": "Alice"}', "--channels", "news",
        "--channels", "sport", **KEY,
    )
    claims = authenticator().connection(result.stdout.strip(), time.time())

    assert claims.user == "alice"
    assert claims.info == b'{"name":"Alice"}'
    assert claims.channels == ("news", "sport")
    assert claims.expire_at == pytest.approx(time.time() + 7 * 86_400, abs=60)


def test_a_subscription_token_is_accepted_by_the_node(invoke):
    result = invoke("token", "--user", "alice", "--channel", "$vip", "--expire-in", "1h", **KEY)
    claims = authenticator().subscription(result.stdout.strip(), time.time())

    assert (claims.user, claims.channel) == ("alice", "$vip")
    assert claims.expire_at == pytest.approx(time.time() + 3600, abs=60)


def test_a_token_has_the_audience_issuer_and_user_claim_of_the_configuration(invoke):
    result = invoke(
        "token", "--user", "alice", **KEY,
        WSMESH_CLIENT_TOKEN_AUDIENCE="us", WSMESH_CLIENT_TOKEN_ISSUER="me",
        WSMESH_CLIENT_TOKEN_USER_ID_CLAIM="user_id",
    )
    claims = authenticator(audience="us", issuer="me", user_id_claim="user_id").connection(
        result.stdout.strip(), time.time()
    )

    assert claims.user == "alice"


def test_subscription_tokens_are_signed_with_their_own_key_where_there_is_one(invoke):
    environ = KEY | {
        "WSMESH_CLIENT_SUBSCRIPTION_TOKEN_ENABLED": "true",
        "WSMESH_CLIENT_SUBSCRIPTION_TOKEN_HMAC_SECRET_KEY": OTHER,
    }
    own = invoke("token", "--channel", "a", **environ).stdout.strip()
    connection = invoke("token", **environ).stdout.strip()

    assert jwt.decode(own, OTHER, algorithms=["HS256"])["channel"] == "a"
    assert jwt.decode(connection, SECRET, algorithms=["HS256"])["sub"] == ""


def test_a_token_may_last_for_ever(invoke):
    token = invoke("token", "--expire-in", "0", **KEY).stdout.strip()

    assert "exp" not in jwt.decode(token, SECRET, algorithms=["HS256"])


def test_without_a_secret_the_way_to_one_is_told(invoke):
    result = invoke("token", "--user", "alice")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert "client.token.hmac_secret_key: expected a secret to sign with" in result.stderr
    assert "export WSMESH_CLIENT_TOKEN_HMAC_SECRET_KEY=" in result.stderr
    assert "dev mode" not in result.stderr


def test_in_dev_mode_it_is_told_that_no_token_is_needed(invoke):
    result = invoke("--dev", "token")

    assert result.exit_code == 2
    assert "in dev mode clients also connect without any token" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--expire-in", "soon"], "expected a duration such as"),
        (["--info", "{"], "expected JSON such as"),
        (["--channel", "a", "--channels", "b"], "--channels is for connection tokens"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_2(invoke, words, told):
    result = invoke("token", *words, **KEY)

    assert result.exit_code == 2
    assert told in result.stderr
