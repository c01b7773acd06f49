"""How a granted subscription works: what is forced, what may be asked for, what a token changes."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.channels.kinds import HISTORY, kind_of
from wsmesh.channels.permissions import Mode, mode_of
from wsmesh.protocol.messages import SubscribeRequest
from wsmesh.security.claims import NO_OVERRIDE, Override

FLAGS = (False, True)
PLAIN = SubscribeRequest(channel="news")


def mode(
    request: SubscribeRequest = PLAIN,
    override: Override = NO_OVERRIDE,
    *,
    may_read_history: bool = False,
    may_watch: bool = False,
    **options: Any,
) -> Mode:
    """Return the mode in a channel with history and these options."""
    kind = kind_of(**{**HISTORY, **options})
    return mode_of(
        kind, request, override, may_read_history=may_read_history, may_watch=may_watch
    )


def test_by_default_a_subscription_is_only_publications() -> None:
    assert mode() == Mode(
        positioned=False, recoverable=False, cache=False,
        presence=False, emits_join_leave=False, receives_join_leave=False,
    )


@pytest.mark.parametrize("forced", FLAGS)
@pytest.mark.parametrize("asked", FLAGS)
def test_recovery_is_forced_or_asked_for_and_allowed(forced: bool, asked: bool) -> None:
    request = SubscribeRequest(recoverable=asked)
    for allowed, readable, override in product(FLAGS, FLAGS, (None, *FLAGS)):
        found = mode(
            request, Override(force_recovery=override), may_read_history=readable,
            force_recovery=forced, allow_recovery=allowed,
        )
        forces = forced if override is None else override
        assert found.recoverable is (forces or (asked and (allowed or readable)))
        assert found.positioned is found.recoverable


@pytest.mark.parametrize("forced", FLAGS)
@pytest.mark.parametrize("asked", FLAGS)
def test_positioning_is_forced_or_asked_for_and_allowed(forced: bool, asked: bool) -> None:
    request = SubscribeRequest(positioned=asked)
    for allowed, readable, override in product(FLAGS, FLAGS, (None, *FLAGS)):
        found = mode(
            request, Override(force_positioning=override), may_read_history=readable,
            force_positioning=forced, allow_positioning=allowed,
        )
        forces = forced if override is None else override
        assert found.positioned is (forces or (asked and (allowed or readable)))
        assert not found.recoverable


@pytest.mark.parametrize("forced", FLAGS)
@pytest.mark.parametrize("asked", FLAGS)
def test_joins_and_leaves_are_forced_or_asked_for_and_allowed(forced: bool, asked: bool) -> None:
    request = SubscribeRequest(join_leave=asked)
    for emitted, watching, override in product(FLAGS, FLAGS, (None, *FLAGS)):
        found = mode(
            request, Override(force_push_join_leave=override), may_watch=watching,
            force_push_join_leave=forced, join_leave=emitted,
        )
        forces = forced if override is None else override
        assert found.receives_join_leave is (forces or (asked and emitted and watching))
        assert found.emits_join_leave is emitted


def test_a_token_overrides_presence_and_joins_both_ways() -> None:
    for option, override in product(FLAGS, FLAGS):
        found = mode(
            PLAIN, Override(presence=override, join_leave=override),
            presence=option, join_leave=option,
        )
        assert found.presence is override
        assert found.emits_join_leave is override


def test_cache_is_a_way_to_recover() -> None:
    assert mode(force_recovery=True, force_recovery_mode="cache").cache
    assert not mode(force_recovery=True).cache
    assert not mode(force_recovery_mode="cache").cache


requests = st.builds(
    SubscribeRequest, positioned=st.booleans(), recoverable=st.booleans(), join_leave=st.booleans()
)
flag = st.none() | st.booleans()
overrides = st.builds(
    Override, presence=flag, join_leave=flag, force_recovery=flag, force_positioning=flag,
    force_push_join_leave=flag,
)
option_sets = st.fixed_dictionaries(dict.fromkeys(
    ("force_recovery", "allow_recovery", "force_positioning", "allow_positioning",
     "presence", "join_leave", "force_push_join_leave"), st.booleans(),
))


@given(
    request=requests, override=overrides, options=option_sets,
    readable=st.booleans(), watching=st.booleans(),
)
def test_what_must_hold_for_every_subscription(
    request: SubscribeRequest, override: Override, options: dict[str, bool],
    readable: bool, watching: bool,
) -> None:
    found = mode(request, override, may_read_history=readable, may_watch=watching, **options)
    assert found.positioned or not found.recoverable
    assert found.recoverable or not found.cache
    without = mode(
        request, override, may_read_history=readable, may_watch=watching,
        **options, history_size=0, history_ttl=0.0,
    )
    assert not without.positioned, "there is no position without history"
    assert not without.recoverable
    silent = mode(PLAIN, override, may_read_history=readable, may_watch=watching, **options)
    denied = mode(request, override, **{
        name: value for name, value in options.items() if not name.startswith("allow_")
    })
    assert denied == mode(PLAIN, override, **options), "asking without permission changes nothing"
    assert silent.presence == found.presence, "presence is not for the client to choose"
