"""What nodes say to each other on a mesh link: one JSON object per WebSocket message. Pure.

Unknown kinds and unknown fields are ignored, so that neighbouring releases understand each other.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wsmesh.errors import WsmeshError


class Challenge(Struct, frozen=True, tag="challenge", tag_field="kind"):
    """The accepting node's first message."""

    node: str
    incarnation: int
    nonce: str


class Proof(Struct, frozen=True, tag="proof", tag_field="kind"):
    """The dialling node's answer: who it is, and that it knows the secret."""

    node: str
    incarnation: int
    nonce: str
    mac: str


class Welcome(Struct, frozen=True, tag="welcome", tag_field="kind"):
    """The accepting node knows the secret too; the link is open."""

    mac: str


class Probe(Struct, frozen=True, tag="probe", tag_field="kind"):
    """Are you there? Answered by an `Ack` with the same number."""

    number: int


class Ack(Struct, frozen=True, tag="ack", tag_field="kind"):
    """I am."""

    number: int


class ProbeRequest(Struct, frozen=True, tag="probe_request", tag_field="kind"):
    """Please probe `target` for me and tell me whether it answered."""

    number: int
    target: str


class ProbeResult(Struct, frozen=True, tag="probe_result", tag_field="kind"):
    """Whether the target of a `ProbeRequest` answered."""

    number: int
    target: str
    reached: bool


class Load(Struct, frozen=True, tag="load", tag_field="kind"):
    """How the sender is doing; the units are those of `wsmesh.cluster.nodes.NodeRecord`."""

    report: int
    connections: int
    load: float
    health: float
    state: str


class Accused(Struct, frozen=True, tag="accused", tag_field="kind"):
    """The sender found a node silent: whoever hears it looks for itself."""

    node: str


class ViewChanged(Struct, frozen=True, tag="view_changed", tag_field="kind"):
    """The registry's view has this version now; whoever has an older one reads it."""

    version: int


class Call(Struct, frozen=True, tag="call", tag_field="kind"):
    """Do something and answer."""

    number: int
    method: str
    params: Raw


class Answer(Struct, frozen=True, tag="answer", tag_field="kind", omit_defaults=True):
    """The outcome of a `Call`: a result, or the reason why there is none."""

    number: int
    result: Raw | UnsetType = UNSET
    error: str = ""


Message = (
    Challenge | Proof | Welcome | Probe | Ack | ProbeRequest | ProbeResult | Load | Accused
    | ViewChanged | Call | Answer
)  # fmt: skip

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_kind = msgspec.json.Decoder(dict[str, Raw])
_KINDS = frozenset(
    kind.__struct_config__.tag
    for kind in (
        Challenge, Proof, Welcome, Probe, Ack, ProbeRequest, ProbeResult, Load, Accused,
        ViewChanged, Call, Answer,
    )
)  # fmt: skip


class MalformedMessage(WsmeshError):
    """A peer sent something that no release of wsmesh says."""


def encode(message: Message) -> bytes:
    """Return the text of a message."""
    return _encoder.encode(message)


def decode(text: bytes | str) -> Message | None:
    """Return the message, or None for a kind that a later release may know.

    :raises MalformedMessage: the text is no message at all.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        if _is_of_unknown_kind(text):
            return None
        raise MalformedMessage(f"not a mesh message: {error}") from error


def _is_of_unknown_kind(text: bytes | str) -> bool:
    try:
        kind = msgspec.json.decode(_kind.decode(text)["kind"])
    except (msgspec.DecodeError, RecursionError, KeyError):
        return False
    return isinstance(kind, str) and kind not in _KINDS
