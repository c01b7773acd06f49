"""The opening handshake: what is accepted, with which answer, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.sections import CompressionSection, LimitsSection
from wsmesh.wire.extension import Offer, parse_offers, parse_subprotocols
from wsmesh.wire.handshake import Handshake, accept, accept_key
from wsmesh.wire.http import BadRequest, RequestParser

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SOUND = {
    "Host": "a",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def accepted(
    *more: str,
    changed: Mapping[str, str | None] = MappingProxyType({}),
    method: str = "GET",
    compressing: bool = False,
    speaks: tuple[str, ...] = (),
) -> Handshake:
    """Accept a sound upgrade with header lines added or changed (None: left out)."""
    fields: dict[str, str | None] = {**SOUND, **changed}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    head = "\r\n".join((f"{method} /c HTTP/1.1", *lines, *more, "", "")).encode("latin-1")
    request = RequestParser(LimitsSection()).feed(head)
    assert request is not None
    return accept(request, compression=CompressionSection(enabled=compressing), subprotocols=speaks)


def refusal(
    *more: str, method: str = "GET", changed: Mapping[str, str | None] = MappingProxyType({})
) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        accepted(*more, method=method, changed=changed)
    return caught.value


def test_the_example_of_rfc_6455_is_answered_as_there() -> None:
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert accepted().response == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


def test_tokens_are_found_in_lists_and_in_any_case() -> None:
    assert accepted(
        changed={"Connection": "keep-alive , UPGRADE", "Upgrade": "h2c, WebSocket"}
    ).response


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Connection", None),
        ("Connection", "keep-alive"),
        ("Connection", "no-upgrade"),
        ("Upgrade", None),
        ("Upgrade", "h2c"),
        ("Upgrade", "websockets"),
        ("Sec-WebSocket-Version", None),
        ("Sec-WebSocket-Key", None),
        ("Sec-WebSocket-Key", ""),
        ("Sec-WebSocket-Key", "short"),
        ("Sec-WebSocket-Key", "A" * 24),
        ("Sec-WebSocket-Key", "A" * 20 + "===="),
        ("Sec-WebSocket-Key", KEY + KEY),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j!Q=="),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jé=="),
    ],
)
def test_an_upgrade_that_is_not_sound_is_400(name: str, value: str | None) -> None:
    assert refusal(changed={name: value}).status == 400


@pytest.mark.parametrize("name", ["Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_a_repeated_field_is_400(name: str) -> None:
    assert refusal(f"{name}: {SOUND[name]}").status == 400


@pytest.mark.parametrize("version", ["8", "12", "14", "013", "13, 8", ""])
def test_another_version_is_426_and_told_which_one_is_spoken(version: str) -> None:
    error = refusal(changed={"Sec-WebSocket-Version": version})

    assert error.status == 426
    assert ("Sec-WebSocket-Version", "13") in error.headers


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
def test_another_method_is_405_and_told_which_one_is_allowed(method: str) -> None:
    error = refusal(method=method)

    assert (error.status, error.headers) == (405, (("Allow", "GET"),))


def test_compression_is_answered_only_when_it_is_agreed_on() -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    agreed, off = accepted(offer, compressing=True), accepted(offer)

    assert agreed.deflate is not None
    header = f"Sec-WebSocket-Extensions: {agreed.deflate.header}\r\n".encode()
    assert header in agreed.response
    assert off.deflate is None
    assert b"Extensions" not in off.response


def test_the_subprotocol_is_the_clients_first_that_we_speak() -> None:
    offered = "Sec-WebSocket-Protocol: other, two"
    shake = accepted(offered, "Sec-WebSocket-Protocol: one", speaks=("one", "two"))

    assert shake.subprotocol == "two"
    assert b"Sec-WebSocket-Protocol: two\r\n" in shake.response
    assert accepted(offered).subprotocol is None


@pytest.mark.parametrize(
    ("name", "most", "limit"),
    [("Extensions", 16, "extension_offers"), ("Protocol", 32, "subprotocols")],
)
def test_lists_pass_at_their_bound_and_are_400_past_it(name: str, most: int, limit: str) -> None:
    def line(count: int) -> str:
        return f"Sec-WebSocket-{name}: " + ",".join(f"n{n}" for n in range(count))

    assert accepted(line(most)).response
    error = refusal(line(most + 1))
    assert (error.status, error.limit) == (400, limit)


def test_offers_have_names_and_parameters_in_order() -> None:
    assert parse_offers(['A; b; c = 1 ;d="x, \\"y;" , ,', " e"]) == [
        Offer("a", (("b", None), ("c", "1"), ("d", 'x, "y;'))),
        Offer("e"),
    ]
    assert parse_offers([]) == parse_offers(["", " ,"]) == []


@pytest.mark.parametrize(
    "value", ["a b", "a;", ";a", "a;;b", "a=1", "a; =1", "a; b=", 'a; b="c', "a; b=c d", "(", "é"]
)
def test_a_malformed_list_of_extensions_is_400(value: str) -> None:
    assert refusal(f"Sec-WebSocket-Extensions: {value}").status == 400


@pytest.mark.parametrize("value", ["a b", "a/b", "a;b", '"a"'])
def test_a_malformed_list_of_subprotocols_is_400(value: str) -> None:
    assert refusal(f"Sec-WebSocket-Protocol: {value}").status == 400


@given(st.text(alphabet='ab=;," \t\\', max_size=60))
def test_any_list_is_understood_or_refused(value: str) -> None:
    for parse in (parse_offers, parse_subprotocols):
        with suppress(BadRequest):
            assert all(parse([value]))


EVIL = ["a" * 4, "a; b=" + "c" * 4, 'a; b="' + "\\a" * 2, "a" + " \t" * 2, ", " * 2, "a;" * 2]


@pytest.mark.parametrize("evil", EVIL)
def test_lists_are_parsed_in_linear_time(evil: str) -> None:
    def seconds(times: int) -> float:
        text = evil[:-4] + evil[-4:] * times + "\x00"
        best = 1.0
        for _ in range(5):
            began = time.process_time()
            with pytest.raises(BadRequest):
                parse_offers([text])
            with pytest.raises(BadRequest):
                parse_subprotocols([text])
            best = min(best, time.process_time() - began)
        return best

    assert seconds(64_000) < 3 * 4 * seconds(16_000) + 0.002
