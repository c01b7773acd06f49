"""Showing a configuration: it reads back, and never shows a secret."""

from __future__ import annotations

import json
import tomllib

from hypothesis import example, given
from hypothesis import strategies as st

from wsmesh.config.options import dotted, values_of
from wsmesh.config.sections import Config
from wsmesh.config.showing import listing, table, toml_value

SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"


def test_secrets_are_shown_as_set_or_not_at_all(load_text):
    loaded = load_text(
        f'client.token.hmac_secret_key = "{SECRET}"\nhttp_api.key = "env:KEY"', {"KEY": SECRET}
    )

    shown = [
        table(loaded.config, loaded.origins),
        json.dumps(listing(loaded.config, loaded.origins)),
        repr(loaded), str(loaded), repr(loaded.config),
    ]

    assert [text for text in shown if SECRET in text] == []
    assert 'client.token.hmac_secret_key' in shown[0]
    assert listing(loaded.config, loaded.origins)["http_api.key"]["value"] == "********"
    assert listing(Config(), {})["http_api.key"]["value"] == ""


def test_passwords_in_urls_are_not_shown(load_text):
    loaded = load_text(
        'client.token.jwks_public_endpoint = "https://me:hunter2@keys.example/jwks"\n'
        'client.token.issuer = "me"'
    )

    shown = listing(loaded.config, loaded.origins)["client.token.jwks_public_endpoint"]["value"]

    assert shown == "https://me:********@keys.example/jwks"


def test_each_value_is_shown_as_toml_with_its_origin(load_text, file):
    loaded = load_text("client.ping_interval = 90", {"WSMESH_LIMITS_MESSAGE_SIZE": "1024"})

    lines = [line.split() for line in table(loaded.config, loaded.origins).splitlines()]

    assert ["client.ping_interval", "=", '"90s"', "#", str(file)] in lines
    assert ["limits.message_size", "=", '"1KiB"', "#", "WSMESH_LIMITS_MESSAGE_SIZE"] in lines
    assert ["node.dev", "=", "false", "#", "default"] in lines


def test_what_is_shown_loads_as_the_same_configuration(load_text):
    config = load_text(
        "client.pong_timeout = 0.0123\n[[channel.namespaces]]\nname = 'a'\nhistory_size = 1\n"
        "history_ttl = 7\n[[listeners]]\naddress = '[::1]:9'"
    ).config

    # Dotted keys cannot say array positions, so these become tables of their own.
    tree: dict = {}
    for option, value in values_of(config):
        place = tree
        for part, following in zip(option.path, option.path[1:], strict=False):
            fresh = [] if isinstance(following, int) else {}
            if isinstance(part, int):
                if part == len(place):
                    place.append(fresh)
                place = place[part]
            else:
                place = place.setdefault(part, fresh)
        shown = tomllib.loads(f"x = {toml_value(value, option.type)}")["x"]
        place[option.path[-1]] = shown
        assert dotted(option.path)
    from wsmesh.config.structure import structure

    assert structure(tree, Config, str) == (config, [])


@given(st.text())
@example("\x7f")
def test_any_text_is_shown_as_a_toml_string(text):
    if "://" not in text:
        assert tomllib.loads(f"x = {toml_value(text, str)}") == {"x": text}
