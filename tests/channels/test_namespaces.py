"""Names of channels resolve to their namespace, options, retention and users, or are refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.channels.namespaces import CACHED, ChannelKind, Namespaces, personal_channel
from wsmesh.config.channels import ChannelOptions, ChannelSection, Namespace
from wsmesh.config.values import Seconds
from wsmesh.errors import ReplyError
from wsmesh.store.interface import Retention

CHAT = Namespace(
    name="chat",
    history_size=10,
    history_ttl=Seconds(60.0),
    history_meta_ttl=Seconds(600.0),
    allow_user_limited_channels=True,
)
DIGITS = Namespace(name="digits", channel_regex=r"^[0-9]+$")
SECTION = ChannelSection(
    without_namespace=ChannelOptions(presence=True), namespaces=(CHAT, DIGITS)
)


def refusal(channel: str, section: ChannelSection = SECTION) -> int:
    """Return the code with which the channel is refused."""
    with pytest.raises(ReplyError) as caught:
        Namespaces(section).resolve(channel)
    return caught.value.code


@pytest.mark.parametrize(
    ("channel", "namespace", "is_private", "users"),
    [
        ("news", "", False, None),
        ("news#ann", "", False, None),
        ("$news", "", True, None),
        ("chat:lobby", "chat", False, None),
        ("chat:", "chat", False, None),
        ("chat:a:b", "chat", False, None),
        ("$chat:lobby", "chat", True, None),
        ("chat:$lobby", "chat", False, None),
        ("chat:#ann", "chat", False, ("ann",)),
        ("chat:d#ann,bob", "chat", False, ("ann", "bob")),
        ("chat:d#carol#ann", "chat", False, ("ann",)),
        ("$chat:d#ann", "chat", True, ("ann",)),
        ("chat:d#", "chat", False, ()),
        ("chat:d#,ann,", "chat", False, ("ann",)),
        ("digits:42", "digits", False, None),
        ("$digits:42", "digits", True, None),
        ("a b", "", False, None),
    ],
)
def test_names_resolve(
    channel: str, namespace: str, is_private: bool, users: tuple[str, ...] | None
) -> None:
    kind = Namespaces(SECTION).resolve(channel)
    assert (kind.channel, kind.namespace, kind.is_private, kind.users) == (
        channel, namespace, is_private, users
    )
    options = {"": SECTION.without_namespace, "chat": CHAT, "digits": DIGITS}[namespace]
    assert kind.options is options


@pytest.mark.parametrize("channel", ["other:x", ":x", "$other:x", "$:x", "Chat:x", "#chat:x"])
def test_an_unknown_namespace_is_an_unknown_channel(channel: str) -> None:
    assert refusal(channel) == 102


@pytest.mark.parametrize(
    "channel",
    [
        "", "x" * 256, "caf\u00e9", "chat:\u4f60", "a\nb", "a\x00b", "tab\t", "\x7f", "\ud800",
        "a*", "chat:a&b", "digits:", "digits:4x", "digits:x",
    ],
)
def test_a_name_that_breaks_the_rules_is_a_bad_request(channel: str) -> None:
    assert refusal(channel) == 107


def test_the_longest_name_is_the_configured_one() -> None:
    assert Namespaces(SECTION).resolve("x" * 255).channel == "x" * 255
    short = ChannelSection(max_length=4)
    assert Namespaces(short).resolve("four").channel == "four"
    assert refusal("fives", short) == 107


def test_the_regex_sees_what_follows_the_namespace_or_the_whole_name() -> None:
    section = ChannelSection(without_namespace=ChannelOptions(channel_regex=r"^open|^\$lot"))
    names = Namespaces(section)
    assert names.resolve("opened").channel == "opened"
    assert names.resolve("$lot").is_private
    assert refusal("$open", section) == 107
    assert refusal("closed-open", section) == 107


def test_marks_are_configurable() -> None:
    section = ChannelSection(
        namespace_boundary="::", private_prefix="!!", user_boundary="@", user_separator="+",
        namespaces=(CHAT,),
    )
    kind = Namespaces(section).resolve("!!chat::x@ann+bob,carol")
    assert kind.is_private
    assert kind.namespace == "chat"
    assert kind.users == ("ann", "bob,carol")
    assert Namespaces(section).resolve("chat:x").namespace == ""
    assert Namespaces(section).personal_channel("ann", "chat") == "chat::@ann"


def test_retention_is_the_namespaces_with_the_common_meta_ttl_by_default() -> None:
    section = ChannelSection(
        history_meta_ttl=Seconds(99.0),
        without_namespace=ChannelOptions(history_size=3, history_ttl=Seconds(5.0)),
        namespaces=(CHAT,),
    )
    names = Namespaces(section)
    assert names.resolve("news").retention == Retention(size=3, ttl=5.0, meta_ttl=99.0)
    assert names.resolve("chat:a").retention == Retention(size=10, ttl=60.0, meta_ttl=600.0)


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=300))
def test_any_text_resolves_to_itself_or_is_refused(channel: str) -> None:
    try:
        kind = Namespaces(SECTION).resolve(channel)
    except ReplyError as error:
        refused = error.code
    else:
        refused = 0
        assert kind.channel == channel
        assert all(" " <= character <= "~" for character in channel)
        assert kind.is_private is channel.startswith("$")
    assert refused in (0, 102, 107)


@pytest.mark.parametrize("namespace", ["", "chat"])
@given(user=st.text(st.sampled_from("ab1@.-_:"), min_size=1, max_size=8))
def test_a_personal_channel_is_limited_to_its_user(namespace: str, user: str) -> None:
    section = ChannelSection(
        without_namespace=ChannelOptions(allow_user_limited_channels=True), namespaces=(CHAT,)
    )
    names = Namespaces(section)
    channel = names.personal_channel(user, namespace)
    assert channel == personal_channel(user, namespace)
    if namespace or ":" not in user:
        assert names.resolve(channel).users == (user,)


@pytest.mark.parametrize("user", ["", "a,b", "a#b", ",", "#"])
def test_a_user_whose_channel_would_be_open_to_others_has_none(user: str) -> None:
    with pytest.raises(ReplyError) as caught:
        personal_channel(user, "chat")
    assert caught.value.code == 107


def test_resolving_again_gives_the_same_object_at_once() -> None:
    names = Namespaces(SECTION)
    kind = names.resolve("chat:lobby#ann")

    def fastest(resolve: int) -> float:
        began = time.perf_counter()
        for number in range(resolve):
            found = names.resolve("chat:lobby#ann")
            assert found is kind, number
        return time.perf_counter() - began

    assert isinstance(kind, ChannelKind)
    # A hit is some 50 ns and a miss some 3,000: a generous bound that a miss cannot meet.
    assert min(fastest(100) for _ in range(20)) < 100 * 1e-6


def test_what_is_remembered_is_bounded() -> None:
    names = Namespaces(SECTION)
    first = names.resolve("c0")
    for number in range(1, CACHED + 1):
        names.resolve(f"c{number}")
    again = names.resolve("c0")
    assert again == first
    assert again is not first
