"""The same streams through wsproto and websockets give the same messages and the same verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from wsmesh.config.sections import LimitsSection
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.deflate import DeflateParameters, Deflater, Inflater
from wsmesh.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    client_frame,
    close_frame,
    compressed_text_frame,
    frame,
    text_frame,
)

keys = st.binary(min_size=4, max_size=4)
controls = st.builds(client_frame, st.sampled_from((PING, PONG)), st.binary(max_size=125), keys)
texts = st.text(max_size=400).map(str.encode)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A whole message in one or more frames, control frames between them."""
    kind, payload = draw(
        st.one_of(
            texts.map(lambda text: (TEXT, text)),
            st.binary(max_size=700).map(lambda data: (BINARY, data)),
        )
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    pieces = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    data = b""
    for at, piece in enumerate(pieces):
        opcode = CONTINUATION if at else kind
        data += client_frame(opcode, piece, draw(keys), fin=at == len(pieces) - 1)
        if at < len(pieces) - 1:
            data += draw(st.one_of(st.just(b""), controls))
    return data


closes = st.builds(
    lambda code, reason: client_frame(CLOSE, code.to_bytes(2, "big") + reason.encode()),
    st.sampled_from((1000, 1001, 1011, 3000, 4999)),
    st.text(max_size=30),
)
conversations = st.builds(
    lambda parts, close: b"".join(parts) + close,
    st.lists(st.one_of(messages(), controls), max_size=8),
    st.one_of(st.just(b""), closes),
)


def ours(data: bytes) -> list[object]:
    return list(FrameParser(LimitsSection(), None).feed(data))


def through_wsproto(data: bytes) -> list[object]:
    connection = Connection(ConnectionType.SERVER)
    connection.receive_data(data)
    found: list[object] = []
    text, binary = "", b""
    for event in connection.events():
        match event:
            case TextMessage(data=piece, message_finished=finished):
                text += piece
                if finished:
                    found.append((TEXT, text.encode()))
                    text = ""
            case BytesMessage(data=piece, message_finished=finished):
                binary += bytes(piece)
                if finished:
                    found.append((BINARY, binary))
                    binary = b""
            case CloseConnection(code=code, reason=reason):
                found.append((CLOSE, (int(code), reason or "")))
            case Ping(payload=payload):
                found.append((PING, bytes(payload)))
            case Pong(payload=payload):
                found.append((PONG, bytes(payload)))
    return found


@given(conversations, st.integers(1, 50))
def test_valid_streams_mean_what_they_mean_to_wsproto(data: bytes, size: int) -> None:
    parser = FrameParser(LimitsSection(), None)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    split = [event for piece in pieces for event in parser.feed(piece)]

    assert split == ours(data) == through_wsproto(data)


WRONG = {
    "reserved opcode": client_frame(3, b"x"),
    "reserved control opcode": client_frame(11, b""),
    "rsv1 without an extension": client_frame(TEXT, b"x", rsv1=True),
    "rsv2": client_frame(TEXT | 0x20, b"x"),
    "continuation of nothing": client_frame(CONTINUATION, b"x"),
    "text within a message": client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"y"),
    "fragmented ping": client_frame(PING, b"", fin=False),
    "long ping": client_frame(PING, bytes(126)),
    "unmasked": frame(TEXT, b"x"),
    "close of one byte": client_frame(CLOSE, b"\x03"),
    "close code 1005": client_frame(CLOSE, b"\x03\xed"),
    "close reason": client_frame(CLOSE, b"\x03\xe8\xff"),
    "too big": client_frame(BINARY, bytes(64 * 1024 + 1)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_frames_are_refused_with_the_code_that_websockets_sends(wrong: bytes) -> None:
    peer = Protocol(SERVER, max_size=64 * 1024)
    peer.receive_data(client_frame(TEXT, b"before") + wrong)
    assert peer.close_sent is not None

    with pytest.raises(ProtocolViolation) as caught:
        ours(client_frame(TEXT, b"before") + wrong)
    assert caught.value.code == peer.close_sent.code


def read_by_websockets(data: bytes, *, deflated: bool = False) -> list[Frame]:
    peer = Protocol(CLIENT, max_size=None)
    if deflated:
        peer.extensions = [PerMessageDeflate(True, True, 12, 12)]
    peer.receive_data(data)
    return [event for event in peer.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_our_frames_are_understood_by_websockets(size: int) -> None:
    payload = b"x" * size
    text, binary = read_by_websockets(text_frame(payload) + frame(BINARY, payload))

    assert (text.opcode, bytes(text.data)) == (Opcode.TEXT, payload)
    assert (binary.opcode, bytes(binary.data)) == (Opcode.BINARY, payload)


def test_our_close_frame_is_understood_by_websockets() -> None:
    (close,) = read_by_websockets(close_frame(3005, "server shutdown"))

    assert bytes(close.data) == b"\x0b\xbdserver shutdown"


@given(st.binary(max_size=9000))
def test_our_compressed_frames_are_understood_by_websockets(payload: bytes) -> None:
    deflater = Deflater(1)
    data = compressed_text_frame(deflater.deflate(payload)) * 2

    frames = read_by_websockets(data, deflated=True)
    assert [bytes(frame.data) for frame in frames] == [payload, payload]


@given(texts)
def test_compressed_frames_of_websockets_are_understood(text: bytes) -> None:
    extension = PerMessageDeflate(True, True, 15, 15)
    compressed = extension.encode(Frame(Opcode.TEXT, text))
    parser = FrameParser(LimitsSection(), Inflater(DeflateParameters()))
    data = client_frame(TEXT, bytes(compressed.data), rsv1=True)

    assert list(parser.feed(data * 2)) == [(TEXT, text), (TEXT, text)]
