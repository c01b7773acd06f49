"""permessage-deflate: which offers are taken, and what is answered (RFC 7692 section 7.1)."""

from __future__ import annotations

import pytest

from wsmesh.config.sections import CompressionSection
from wsmesh.wire.deflate import WINDOW_BITS, DeflateParameters, negotiate
from wsmesh.wire.extension import parse_offers

ON = CompressionSection(enabled=True)
PLAIN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def agreed(header: str, section: CompressionSection = ON) -> DeflateParameters | None:
    return negotiate(parse_offers([header]), section)


def test_nothing_is_agreed_on_while_compression_is_off() -> None:
    assert agreed("permessage-deflate", CompressionSection()) is None


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "Permessage-Deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    ],
)
def test_context_takeover_is_off_in_both_directions_whatever_was_asked(offer: str) -> None:
    parameters = agreed(offer)

    assert parameters is not None
    assert parameters.header == PLAIN


@pytest.mark.parametrize("bits", range(-1, 100))
def test_the_clients_window_is_9_to_15_bits_or_the_offer_is_declined(bits: int) -> None:
    parameters = agreed(f"permessage-deflate; client_max_window_bits={bits}")

    if 9 <= bits <= 15:
        assert parameters is not None
        assert parameters.client_window_bits == bits
        assert parameters.header == f"{PLAIN}; client_max_window_bits={bits}"
    else:
        assert parameters is None


@pytest.mark.parametrize("bits", range(-1, 100))
def test_our_window_is_what_all_receivers_share_or_the_offer_is_declined(bits: int) -> None:
    parameters = agreed(f"permessage-deflate; server_max_window_bits={bits}")

    if WINDOW_BITS <= bits <= 15:
        assert parameters is not None
        assert parameters.server_window_bits == bits
        assert parameters.header == f"{PLAIN}; server_max_window_bits={bits}"
    else:
        assert parameters is None


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown",
        "server_max_window_bits",
        "server_max_window_bits=015",
        "server_max_window_bits=0xf",
        'client_max_window_bits=""',
        "client_max_window_bits=12; client_max_window_bits=12",
        "server_no_context_takeover; server_no_context_takeover",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
    ],
)
def test_a_parameter_that_is_unknown_repeated_or_wrong_declines_the_offer(parameters: str) -> None:
    assert agreed(f"permessage-deflate; {parameters}") is None


def test_a_quoted_value_counts_like_a_bare_one() -> None:
    parameters = agreed('permessage-deflate; client_max_window_bits="12"')

    assert parameters is not None
    assert parameters.client_window_bits == 12


def test_the_first_offer_that_can_be_kept_is_taken() -> None:
    parameters = agreed(
        "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, "
        "permessage-deflate; server_max_window_bits=13, permessage-deflate"
    )

    assert parameters is not None
    assert parameters.server_window_bits == 13
