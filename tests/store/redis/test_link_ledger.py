"""The ledger of channels: what is held, what is missing, and when a call is over."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wsmesh.store.redis.ledger import Ledger, Request

HERE, THERE = "here", "there"


class Call:
    """One call of subscribe."""

    def __init__(self, ledger: Ledger, *channels: bytes) -> None:
        self.outcomes: list[Exception | None] = []
        self.request = Request(channels, self.outcomes.append)
        ledger.want(self.request)


def confirmed(ledger: Ledger, channel: bytes, place: str = HERE) -> bool:
    ledger.ask(channel, place)
    return ledger.confirm(channel, place)


def test_a_call_is_over_when_its_last_channel_is_confirmed():
    ledger = Ledger()
    call = Call(ledger, b"a", b"b")
    assert not confirmed(ledger, b"a")
    assert (call.outcomes, ledger.held) == ([], set())
    confirmed(ledger, b"b")

    assert call.outcomes == [None]
    assert ledger.held == {b"a", b"b"}
    assert ledger.unplaced == {}


def test_a_channel_that_is_heard_needs_no_asking():
    ledger = Ledger()
    Call(ledger, b"a")
    confirmed(ledger, b"a")

    assert Call(ledger, b"a").outcomes == [None]
    assert ledger.unplaced == {}


def test_calls_for_one_channel_ask_once():
    ledger = Ledger()
    first = Call(ledger, b"a")
    ledger.ask(b"a", HERE)
    second = Call(ledger, b"a")
    assert ledger.unplaced == {}
    ledger.confirm(b"a", HERE)

    assert (first.outcomes, second.outcomes) == ([None], [None])


def test_a_call_that_gives_up_holds_nothing_and_says_where_to_unsubscribe():
    ledger = Ledger()
    call = Call(ledger, b"a", b"b", b"c")
    confirmed(ledger, b"a")
    ledger.ask(b"b", THERE)
    error = TimeoutError()

    assert ledger.withdraw(call.request, error) == [(b"a", HERE), (b"b", THERE)]
    assert call.outcomes == [error]
    assert (ledger.held, ledger.heard, ledger.unplaced) == (set(), {}, {})
    assert ledger.withdraw(call.request, error) == []


def test_a_call_that_gives_up_takes_nothing_from_others():
    ledger = Ledger()
    Call(ledger, b"held")
    confirmed(ledger, b"held")
    patient = Call(ledger, b"wanted")
    hasty = Call(ledger, b"held", b"wanted", b"own")

    assert ledger.withdraw(hasty.request, TimeoutError()) == []
    assert ledger.held == {b"held"}
    assert [*ledger.unplaced] == [b"wanted"]
    confirmed(ledger, b"wanted")
    assert patient.outcomes == [None]


def test_a_held_channel_whose_place_is_lost_is_missing_until_it_is_confirmed_again():
    ledger = Ledger()
    Call(ledger, b"a", b"b")
    confirmed(ledger, b"a")
    confirmed(ledger, b"b", THERE)
    ledger.lose_place(HERE)

    assert ledger.missing == {b"a"}
    assert [*ledger.unplaced] == [b"a"]
    assert confirmed(ledger, b"a", THERE)
    assert not ledger.missing


def test_a_confirmation_that_comes_too_late_counts_for_nothing():
    ledger = Ledger()
    call = Call(ledger, b"a")
    ledger.ask(b"a", HERE)
    ledger.lose_place(HERE)

    assert not ledger.confirm(b"a", HERE)
    assert call.outcomes == []
    assert not ledger.heard


def test_a_channel_lost_before_its_call_is_over_is_awaited_again():
    ledger = Ledger()
    call = Call(ledger, b"a", b"b")
    confirmed(ledger, b"a")
    assert ledger.lose(b"a", HERE)
    confirmed(ledger, b"b")
    assert call.outcomes == []
    confirmed(ledger, b"a", THERE)

    assert call.outcomes == [None]


def test_the_goodbye_of_a_place_that_was_left_is_no_news():
    ledger = Ledger()
    Call(ledger, b"a")
    confirmed(ledger, b"a", THERE)

    assert not ledger.lose(b"a", HERE)
    assert ledger.release([b"a"]) == [(b"a", THERE)]
    assert not ledger.lose(b"a", THERE)
    assert not ledger.held


def test_what_a_place_refuses_is_placed_again_unless_that_ends_the_call():
    ledger = Ledger()
    call = Call(ledger, b"a")
    ledger.ask(b"a", HERE)
    ledger.refuse([b"a"], HERE, None)
    assert [*ledger.unplaced] == [b"a"]

    ledger.ask(b"a", HERE)
    error = PermissionError()
    ledger.refuse([b"a"], HERE, error)
    assert call.outcomes == [error]
    assert ledger.unplaced == {}


def test_a_refusal_does_not_touch_what_another_place_was_asked_for_since():
    ledger = Ledger()
    Call(ledger, b"a")
    ledger.ask(b"a", THERE)
    ledger.refuse([b"a"], HERE, None)

    assert ledger.is_asked(b"a", THERE)
    assert ledger.unplaced == {}


def test_a_held_channel_that_is_refused_stays_held_and_missing():
    ledger = Ledger()
    Call(ledger, b"a")
    confirmed(ledger, b"a")
    ledger.lose(b"a", HERE)
    ledger.ask(b"a", HERE)
    ledger.refuse([b"a"], HERE, PermissionError())

    assert ledger.held == ledger.missing == {b"a"}
    assert [*ledger.unplaced] == [b"a"]


def test_the_end_ends_every_call():
    ledger = Ledger()
    calls = [Call(ledger, b"a"), Call(ledger, b"a", b"b")]
    ledger.close(OSError("gone"))

    assert [type(call.outcomes[0]) for call in calls] == [OSError, OSError]
    assert ledger.unplaced == {}


CHANNELS = [b"a", b"b", b"c"]
channels = st.sampled_from(CHANNELS)
places = st.sampled_from([HERE, THERE])


class Channels(RuleBasedStateMachine):
    """Whatever comes in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.calls: list[Call] = []
        self.asked: set[tuple[bytes, str]] = set()

    @rule(wanted=st.lists(channels, min_size=1, max_size=3, unique=True))
    def subscribe(self, wanted):
        self.calls.append(Call(self.ledger, *wanted))

    @rule(channel=channels)
    def unsubscribe(self, channel):
        self.ledger.release([channel])

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def give_up(self, data):
        self.ledger.withdraw(data.draw(st.sampled_from(self.calls)).request, TimeoutError())

    @precondition(lambda self: self.ledger.unplaced)
    @rule(data=st.data(), place=places)
    def ask(self, data, place):
        channel = data.draw(st.sampled_from(sorted(self.ledger.unplaced)))
        self.ledger.ask(channel, place)

    @rule(channel=channels, place=places)
    def confirm(self, channel, place):
        was_missing = channel in self.ledger.missing
        assert self.ledger.confirm(channel, place) <= was_missing

    @rule(channel=channels, place=places)
    def lose(self, channel, place):
        self.ledger.lose(channel, place)

    @rule(place=places)
    def lose_place(self, place):
        self.ledger.lose_place(place)

    @rule(channel=channels, place=places, error=st.sampled_from([None, PermissionError()]))
    def refuse(self, channel, place, error):
        self.ledger.refuse([channel], place, error)

    @invariant()
    def every_wanted_channel_is_in_one_state(self):
        waiting = [call for call in self.calls if not call.request.is_over]
        wanted = self.ledger.held.union(*(call.request.channels for call in waiting))
        for channel in CHANNELS:
            states = (
                (channel in self.ledger.unplaced) + (channel in self.ledger.heard)
                + any(self.ledger.is_asked(channel, place) for place in (HERE, THERE))
            )
            assert states == (channel in wanted), channel

    @invariant()
    def missing_is_held_and_not_heard(self):
        assert self.ledger.missing == self.ledger.held - self.ledger.heard.keys()

    @invariant()
    def a_call_is_over_once_and_never_too_early(self):
        for call in self.calls:
            assert len(call.outcomes) == call.request.is_over
            if not call.request.is_over:
                unheard = {each for each in call.request.channels if each not in self.ledger.heard}
                assert call.request.remaining == unheard != set()


TestChannels = Channels.TestCase
TestChannels.settings = settings(stateful_step_count=30, max_examples=100, deadline=None)
