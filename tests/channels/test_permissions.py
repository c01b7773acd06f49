"""Who may do what in a channel: the whole grid of options, users, tokens and hooks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.channels.kinds import HISTORY, kind_of
from wsmesh.channels.permissions import (
    may_publish,
    may_read_history,
    may_read_presence,
    may_subscribe,
    may_watch,
)
from wsmesh.errors import ReplyError
from wsmesh.security.claims import SubscriptionClaims

FLAGS = (False, True)


def code(refusal: ReplyError | None) -> int:
    """Return the refusal's code, 0 when there is none."""
    return 0 if refusal is None else refusal.code


# -- subscribing ------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["", "ann"])
@pytest.mark.parametrize("hook", [None, False, True])
@pytest.mark.parametrize("channel", ["ns:x", "$ns:x", "ns:x#ann", "ns:x#bob", "$ns:x#ann", "ns:#"])
def test_subscribing_without_a_token_over_the_whole_grid(
    channel: str, hook: bool | None, user: str
) -> None:
    for client, anonymous, limited in product(FLAGS, FLAGS, FLAGS):
        kind = kind_of(
            channel,
            allow_subscribe_for_client=client,
            allow_subscribe_for_anonymous=anonymous,
            allow_user_limited_channels=limited,
        )
        if channel.startswith("$"):
            expected = False
        elif limited and "#" in channel:
            expected = user == "ann" and channel.endswith("#ann")
        elif hook is not None:
            expected = hook
        else:
            expected = client and (user == "ann" or anonymous)
        found = may_subscribe(kind, user, "c1", None, hook_granted=hook)
        assert code(found) == (0 if expected else 103)


@pytest.mark.parametrize("hook", [None, False, True])
@pytest.mark.parametrize("channel", ["ns:x", "$ns:x", "ns:x#bob"])
@pytest.mark.parametrize("user", ["", "ann"])
def test_a_fitting_token_alone_decides(channel: str, hook: bool | None, user: str) -> None:
    kind = kind_of(channel, allow_user_limited_channels=True)
    for client in ("", "c1"):
        claims = SubscriptionClaims(user=user, channel=channel, client=client)
        assert may_subscribe(kind, user, "c1", claims, hook_granted=hook) is None


@pytest.mark.parametrize(
    "claims",
    [
        SubscriptionClaims(user="bob", channel="ns:x"),
        SubscriptionClaims(user="", channel="ns:x"),
        SubscriptionClaims(user="ann", channel="ns:y"),
        SubscriptionClaims(user="ann", channel="$ns:x"),
        SubscriptionClaims(user="ann", channel="ns:x", client="c2"),
    ],
)
def test_a_token_for_something_else_refuses_what_would_be_open_without(
    claims: SubscriptionClaims,
) -> None:
    kind = kind_of("ns:x", allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True)
    assert may_subscribe(kind, "ann", "c1", None) is None
    assert code(may_subscribe(kind, "ann", "c1", claims, hook_granted=True)) == 103


# -- publishing, history, presence ------------------------------------------------------------

Ask = Callable[[Any, str, bool], ReplyError | None]
OPERATIONS: dict[str, tuple[Ask, dict[str, Any]]] = {
    "publish": (may_publish, {}),
    "history": (may_read_history, HISTORY),
    "presence": (may_read_presence, {"presence": True}),
}
every_operation = pytest.mark.parametrize("operation", sorted(OPERATIONS))


@every_operation
@pytest.mark.parametrize("user", ["", "ann"])
@pytest.mark.parametrize("subscribed", FLAGS)
def test_an_operation_over_the_whole_grid(operation: str, user: str, subscribed: bool) -> None:
    ask, needed = OPERATIONS[operation]
    for client, subscriber, anonymous in product(FLAGS, FLAGS, FLAGS):
        kind = kind_of(**needed, **{
            f"allow_{operation}_for_client": client,
            f"allow_{operation}_for_subscriber": subscriber,
            f"allow_{operation}_for_anonymous": anonymous,
        })
        expected = (client or (subscriber and subscribed)) and (user == "ann" or anonymous)
        assert code(ask(kind, user, subscribed)) == (0 if expected else 103)


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("history", {}),
        ("history", {"history_size": 5}),
        ("history", {"history_ttl": 5.0}),
        ("presence", {}),
    ],
)
def test_what_a_channel_does_not_keep_is_not_available_whoever_asks(
    operation: str, options: dict[str, Any]
) -> None:
    ask, _ = OPERATIONS[operation]
    allowed = kind_of(**options, **{f"allow_{operation}_for_client": True})
    assert code(ask(allowed, "ann", True)) == 108
    assert code(ask(kind_of(**options), "", False)) == 108


def test_watching_follows_presence_permissions_without_presence() -> None:
    assert may_watch(kind_of(allow_presence_for_subscriber=True), "ann", True) is None
    assert code(may_watch(kind_of(allow_presence_for_subscriber=True), "ann", False)) == 103
    assert code(may_watch(kind_of(presence=True), "ann", True)) == 103


def test_a_publish_hook_decides_alone() -> None:
    closed, open_ = kind_of(), kind_of(allow_publish_for_client=True)
    assert may_publish(closed, "", False, hook_granted=True) is None
    assert code(may_publish(open_, "ann", True, hook_granted=False)) == 103


# -- what holds everywhere --------------------------------------------------------------------

NAMES = [
    f"allow_{operation}_for_{whom}"
    for operation in ("publish", "history", "presence")
    for whom in ("client", "subscriber", "anonymous")
] + [
    "allow_subscribe_for_client", "allow_subscribe_for_anonymous", "allow_user_limited_channels",
    "presence",
]
options = st.fixed_dictionaries(
    dict.fromkeys(NAMES, st.booleans()),
    optional={"history_size": st.just(5), "history_ttl": st.just(5.0)},
)
channels = st.sampled_from(["x", "ns:x", "$x", "$ns:x", "ns:x#ann", "ns:#", "ns:x#,"])


@given(options=options, channel=channels, subscribed=st.booleans(), hook=st.none() | st.booleans())
def test_anonymous_never_gets_more_than_a_user(
    options: dict[str, Any], channel: str, subscribed: bool, hook: bool | None
) -> None:
    kind = kind_of(channel, **options)
    for ask in (may_publish, may_read_history, may_read_presence, may_watch):
        if ask(kind, "", subscribed) is None:
            assert ask(kind, "ann", subscribed) is None
    if may_subscribe(kind, "", "c1", None, hook_granted=hook) is None:
        assert may_subscribe(kind, "ann", "c1", None, hook_granted=hook) is None


@given(options=options, user=st.sampled_from(["", "ann"]), hook=st.none() | st.booleans())
def test_a_private_channel_never_opens_without_a_token(
    options: dict[str, Any], user: str, hook: bool | None
) -> None:
    for channel in ("$x", "$ns:x", "$ns:x#ann"):
        kind = kind_of(channel, **options)
        assert code(may_subscribe(kind, user, "c1", None, hook_granted=hook)) == 103


@given(options=options, channel=channels, user=st.sampled_from(["", "ann"]))
def test_a_subscriber_never_gets_less_than_others(
    options: dict[str, Any], channel: str, user: str
) -> None:
    kind = kind_of(channel, **options)
    for ask in (may_publish, may_read_history, may_read_presence, may_watch):
        if ask(kind, user, False) is None:
            assert ask(kind, user, True) is None


@given(options=options, channel=channels, subscribed=st.booleans())
def test_nothing_is_allowed_that_no_option_allows(
    options: dict[str, Any], channel: str, subscribed: bool
) -> None:
    closed = {
        name: value for name, value in options.items() if not name.startswith("allow_")
    }
    kind = kind_of(channel, **closed)
    for user in ("", "ann"):
        assert may_subscribe(kind, user, "c1", None) is not None
        for ask in (may_publish, may_read_history, may_read_presence, may_watch):
            assert ask(kind, user, subscribed) is not None
