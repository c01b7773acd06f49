"""`[redis]`: what a URL may say, and which options go together."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from wsmesh.config.redis_url import Address, Deployment, parse_redis_url
from wsmesh.errors import ConfigError

WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("url", "deployment", "addresses"),
    [
        ("redis://h", Deployment.STANDALONE, "h:6379"),
        ("rediss://h:1/2", Deployment.STANDALONE, "h:1"),
        ("redis://[::1]:1", Deployment.STANDALONE, "[::1]:1"),
        ("unix:///run/redis.sock", Deployment.STANDALONE, "unix:/run/redis.sock"),
        ("redis+sentinel://a,b:1/main", Deployment.SENTINEL, "a:26379 b:1"),
        ("rediss+sentinel://a/main/3", Deployment.SENTINEL, "a:26379"),
        ("redis+cluster://a:1,[::1]:2,c", Deployment.CLUSTER, "a:1 [::1]:2 c:6379"),
        ("rediss+cluster://a/0", Deployment.CLUSTER, "a:6379"),
    ],
)
def test_a_url_says_how_redis_is_deployed_and_where(url, deployment, addresses):
    found = parse_redis_url(url)

    assert found.deployment is deployment
    assert " ".join(map(str, found.addresses)) == addresses
    assert found.tls is url.startswith("rediss")


def test_the_path_names_the_database_or_the_service():
    assert parse_redis_url("redis://h/7").database == 7
    assert parse_redis_url("unix:///s?db=7").database == 7
    found = parse_redis_url("redis+sentinel://h/main/3")
    assert (found.service, found.database) == ("main", 3)


@given(WORD, WORD, st.integers(1, 65535), st.integers(0, 99))
def test_a_plain_url_says_what_it_says_to_the_redis_package(user, password, port, database):
    url = f"redis://{user}:{password}%40%2F@host:{port}/{database}"
    found, theirs = parse_redis_url(url), parse_url(url)

    assert found.addresses == (Address(theirs["host"], theirs["port"]),)
    assert (found.username, found.password) == (theirs["username"], theirs["password"])
    assert found.database == theirs["db"]
    assert found.password == password + "@/"
    assert password + "@/" not in repr(found)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "begins with one of redis://"),
        ("localhost:6379", "begins with one of"),
        ("redis://", "expected HOST:PORT"),
        ("redis://a,b", "expected one host"),
        ("redis://h:port", "cannot be read"),
        ("redis://h:70000", "cannot be read"),
        ("redis://h/x", "number of a database"),
        ("redis://h/-1", "number of a database"),
        ("redis://h?db=1", "no \\?parameters"),
        ("unix://", "unix:///PATH"),
        ("unix:///s?db=x", "cannot be read"),
        ("unix:///s?timeout=3", "no parameter but db"),
        ("redis+sentinel://h", "name of the watched master"),
        ("redis+sentinel://h/", "name of the watched master"),
        ("redis+cluster://h/1", "database 0"),
        ("redis+cluster://a,,b", "expected HOST:PORT"),
    ],
)
def test_what_cannot_be_used_is_explained(url, said):
    with pytest.raises(ValueError, match=said):
        parse_redis_url(url)


@pytest.mark.parametrize("odd", "/?#")
def test_a_password_that_is_not_quoted_is_refused_without_being_shown(odd):
    with pytest.raises(ValueError, match="in a password") as failure:
        parse_redis_url(f"redis://user:sec{odd}ret@host:1/2")
    assert not {"sec", "ret"} & set(re.findall(r"\w+", str(failure.value)))


@given(st.text())
def test_any_text_is_a_url_or_a_value_error(text):
    for scheme in ("", "redis://", "redis+cluster://", "redis+sentinel://", "unix://"):
        try:
            parse_redis_url(scheme + text)
        except ValueError as error:
            assert str(error).startswith("expected")


def faults(load_text, text):
    with pytest.raises(ConfigError) as failure:
        load_text("[redis]\n" + text)
    return [re.search(r"redis\.\w+", fault)[0] for fault in failure.value.faults]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('url = "redis:/h"', ["redis.url"]),
        ('prefix = "a{b"', ["redis.prefix"]),
        ('prefix = ""', ["redis.prefix"]),
        ("partitions = 0", ["redis.partitions"]),
        ('timeout = "1ms"', ["redis.timeout"]),
        ('url = "redis://h"\ntls_ca = "ca.pem"', ["redis.tls_ca"]),
        ('url = "rediss://h"\ntls_key = "key.pem"', ["redis.tls_certificate"]),
        ('url = "rediss://h"\ntls_certificate = "c.pem"', ["redis.tls_key"]),
        ('url = "redis://h"\nsentinel_password = "x"', ["redis.sentinel_password"]),
    ],
)
def test_options_that_do_not_go_together_are_faults(load_text, text, paths):
    assert faults(load_text, text) == paths


@pytest.mark.parametrize(
    "text",
    [
        "", 'url = "embedded"', 'url = "redis://h"\npassword = "x"',
        'url = "rediss+sentinel://a,b/main"\nsentinel_password = "x"\ntls_ca = "ca.pem"',
        'url = "rediss+cluster://a"\ntls_certificate = "c.pem"\ntls_key = "k.pem"',
    ],
)
def test_what_goes_together_is_accepted(load_text, text):
    loaded = load_text("[redis]\n" + text)
    assert loaded.config.redis.partitions == 128


@pytest.mark.parametrize(
    ("redis", "channel", "said"),
    [
        ("", 'history_size = 1\nhistory_ttl = "1m"\n', 'expected "memory" without redis.url'),
        ('[redis]\nurl = "embedded"\n', "", "without history_size and history_ttl"),
    ],
)
def test_durability_needs_something_that_lasts(faults_of, redis, channel, said) -> None:
    text = f'{redis}[channel.without_namespace]\ndurability = "fsync"\n{channel}'
    (fault,) = faults_of(text)
    assert "channel.without_namespace.durability" in fault
    assert said in fault
