"""Which pages may connect, as a table (reliability table row 7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.errors import ConfigError
from wsmesh.security.origins import OriginPolicy

LISTED = ("https://app.example.com", "https://dev.example.com:8443", "http://[::1]:3000")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.com", True),
        ("https://app.example.com:443", True),
        ("HTTPS://App.Example.COM", True),
        ("https://dev.example.com:8443", True),
        ("http://[::1]:3000", True),
        (None, True),
        ("https://app.example.com.evil.com", False),
        ("https://app.example.co", False),
        ("https://evil-app.example.com", False),
        ("https://evilapp.example.com", False),
        ("https://x.app.example.com", False),
        ("https://example.com", False),
        ("http://app.example.com", False),
        ("wss://app.example.com", False),
        ("https://app.example.com:8443", False),
        ("https://app.example.com:80", False),
        ("https://dev.example.com", False),
        ("https://app.example.com/", False),
        ("https://app.example.com?", False),
        ("https://app.example.com#", False),
        ("https://app.example.com.", False),
        ("https://user@app.example.com", False),
        ("https://app.example.com@evil.com", False),
        ("https://evil.com\\@app.example.com", False),
        ("https://app.example.com, https://evil.com", False),
        ("https://evil.com https://app.example.com", False),
        ("https://app.example.com\n", False),
        (" https://app.example.com", False),
        ("https:app.example.com", False),
        ("https:///app.example.com", False),
        ("//app.example.com", False),
        ("app.example.com", False),
        ("https://\u0430pp.example.com", False),
        ("https://", False),
        ("null", False),
        ("", False),
        ("*", False),
        ("https://*", False),
    ],
)
def test_listed_origins_are_compared_exactly(origin, allowed):
    assert OriginPolicy(LISTED).allows(origin, "app.example.com", secure=True) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "secure", "allowed"),
    [
        ("https://a.example.com", "a.example.com", True, True),
        ("https://a.example.com", "A.example.com:443", True, True),
        ("https://a.example.com:8443", "a.example.com:8443", True, True),
        ("http://localhost:8000", "localhost:8000", False, True),
        ("http://127.0.0.1", "127.0.0.1:80", False, True),
        ("http://[::1]:8000", "[::1]:8000", False, True),
        ("https://a.example.com", "a.example.com", False, True),
        ("http://a.example.com", "a.example.com", True, False),
        ("https://a.example.com", "a.example.com:80", False, False),
        ("http://localhost:8000", "localhost:8001", False, False),
        ("http://localhost:8000", "localhost", False, False),
        ("http://localhost", "127.0.0.1", False, False),
        ("https://a.example.com.evil.com", "a.example.com", True, False),
        ("https://b.example.com", "a.example.com", True, False),
        ("ftp://a.example.com", "a.example.com", False, False),
        ("https://a.example.com", None, True, False),
        ("https://a.example.com", "", True, False),
        ("https://a.example.com", "a.example.com, b", True, False),
        ("https://a.example.com", "u@a.example.com", True, False),
        ("null", "null", False, False),
        (None, "a.example.com", True, True),
        (None, None, False, True),
    ],
)
def test_without_a_list_a_page_may_connect_to_its_own_host(origin, host, secure, allowed):
    assert OriginPolicy(()).allows(origin, host, secure) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example.com", True),
        ("https://a.b.example.com", True),
        ("https://example.com", False),
        ("https://evilexample.com", False),
        ("https://a.example.com.evil.com", False),
        ("https://.example.com", False),
        ("https://-.example.com", False),
        ("https://a..example.com", False),
        ("https://evil.com/.example.com", False),
        ("https://evil.com#.example.com", False),
        ("http://a.example.com", False),
        ("https://a.example.com:444", False),
    ],
)
def test_a_wildcard_stands_for_labels_only(origin, allowed):
    assert OriginPolicy(["https://*.example.com"]).allows(origin, None, True) is allowed


def test_the_star_allows_everything_and_null_must_be_listed():
    assert OriginPolicy(["*"]).allows("null", None, False)
    assert OriginPolicy(["*"]).allows("https://evil.com", None, False)
    assert OriginPolicy(["null"]).allows("null", None, False)
    assert not OriginPolicy(["null"]).allows("https://evil.com", "evil.com", False)


def test_apps_with_schemes_of_their_own_can_be_listed():
    policy = OriginPolicy(["capacitor://localhost", "file://", "chrome-extension://abcdef"])
    for origin in ("capacitor://localhost", "file://", "chrome-extension://abcdef"):
        assert policy.allows(origin, None, False)
    assert not policy.allows("capacitor://localhost2", None, False)
    assert not policy.allows("file://evil", None, False)


def test_every_wrong_entry_is_named():
    wrong = [
        "https://a.example.com/",
        "*.example.com",
        "https://a.*.com",
        "https://*",
        "a",
        "",
        "https://ä",
    ]
    with pytest.raises(ConfigError) as caught:
        OriginPolicy([*wrong, "https://fine.example.com"])
    assert len(caught.value.faults) == len(wrong)


@given(st.text(max_size=40) | st.text("htps:/.*@ampleco[]-_ ", max_size=30))
def test_any_text_is_decided_on(origin):
    policy = OriginPolicy(["https://app.example.com", "https://*.example.com"])
    if policy.allows(origin, None, True):
        assert origin.lower().removesuffix(":443").endswith(".example.com")
