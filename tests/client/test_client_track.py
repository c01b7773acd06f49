"""Tracks and conversations: what is delivered is the stream, whatever happens to connections."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Raw

from wsmesh.client.conversation import (
    Answer,
    Conversation,
    Deliver,
    Hangup,
    Lease,
    Leave,
    Move,
    Pong,
    Registry,
    Resubscribe,
    Welcome,
)
from wsmesh.client.events import Publication, Subscribed
from wsmesh.client.track import Track, Wishes
from wsmesh.protocol.messages import (
    ClientInfo,
    Command,
    ConnectRequest,
    ConnectResult,
    DisconnectPush,
    ErrorObject,
    Join,
    Push,
    RefreshPush,
    Reply,
    StreamPosition,
    SubscribeResult,
    Unsubscribe,
)
from wsmesh.protocol.messages import (
    Leave as Leaving,
)
from wsmesh.protocol.messages import (
    Publication as Pub,
)

CAPACITY = 3


class Node:
    """A server's end of one conversation: it lags behind the stream, but never skips."""

    def __init__(self, stream, registry):
        self.stream = stream
        self.conversation = Conversation(registry)
        self.questions = []
        self.sent = None  # offset pushed last, None: not subscribed

    def ask(self, track):
        number = self.conversation.number(Command(subscribe=track.request()), track)
        self.questions.append(number)

    def answer(self):
        command = self.questions.pop(0)
        asked = command.subscribe
        top = self.stream.top
        recovered = asked.recover and asked.offset >= self.stream.trimmed
        missed = range(asked.offset + 1, top + 1) if recovered else ()
        result = SubscribeResult(
            recoverable=True,
            epoch="e",
            offset=top,
            recovered=recovered,
            was_recovering=asked.recover,
            publications=[published(n) for n in missed],
        )
        self.sent = top
        return self.conversation.feed(Reply(id=command.id, subscribe=result))

    def push(self):
        self.sent += 1
        push = Push(channel="c", pub=published(self.sent))
        return self.conversation.feed(Reply(push=push))


def published(offset):
    return Pub(data=Raw(b"%d" % offset), offset=offset)


class Delivery(RuleBasedStateMachine):
    """Publishing, reading, losing connections and moving, in any order the protocol allows."""

    @initialize(recover_from=st.integers(0, 3))
    def start(self, recover_from):
        self.top, self.trimmed = recover_from, 0
        self.registry = Registry()
        since = StreamPosition(offset=recover_from, epoch="e")
        self.track = Track(channel="c", wishes=Wishes(capacity=CAPACITY), position=since)
        self.registry.chosen["c"] = self.track
        self.buffer, self.read, self.expected = [], [], recover_from + 1
        self.live, self.old = Node(self, self.registry), None
        self.live.ask(self.track)

    def carry_out(self, effects):
        for effect in effects:
            match effect:
                case Deliver(track, events):
                    assert track is self.track
                    self.buffer += events
                case Leave(track):
                    for node in (self.live, self.old):
                        if node is not None:
                            node.sent = None
                            node.questions.clear()
                case Answer():
                    pass
                case _:
                    raise AssertionError(effect)

    @rule()
    def publish(self):
        self.top += 1

    @rule()
    def trim(self):
        self.trimmed = self.top

    @precondition(lambda self: self.live.questions)
    @rule()
    def live_answers(self):
        self.carry_out(self.live.answer())

    @precondition(lambda self: self.old is not None and self.old.questions)
    @rule()
    def old_answers(self):
        self.carry_out(self.old.answer())

    @precondition(lambda self: self.live.sent is not None and self.live.sent < self.top)
    @rule()
    def live_pushes(self):
        self.carry_out(self.live.push())

    @precondition(
        lambda self: self.old is not None and self.old.sent is not None and self.old.sent < self.top
    )
    @rule()
    def old_pushes(self):
        self.carry_out(self.old.push())

    @precondition(lambda self: self.old is None)
    @rule()
    def moves(self):
        self.old = self.live
        self.old.conversation.is_retiring = True
        self.live = Node(self, self.registry)
        if self.track.is_wanted:
            self.live.ask(self.track)

    @precondition(lambda self: self.old is not None)
    @rule()
    def old_ends(self):
        self.registry.detach(self.old.conversation)
        self.old = None

    @rule()
    def reconnects(self):
        self.registry.detach(self.live.conversation)
        self.live = Node(self, self.registry)
        if self.track.is_wanted:
            self.live.ask(self.track)

    @precondition(lambda self: self.buffer)
    @rule()
    def reads(self):
        event = self.buffer.pop(0)
        if isinstance(event, Subscribed):
            if event.is_gap:
                self.expected = None
            return
        if self.expected is not None:
            assert self.expected == event.offset
        elif self.read:
            assert event.offset > self.read[-1]
        self.read.append(event.offset)
        self.expected = event.offset + 1
        if self.track.took_one():
            self.live.ask(self.track)

    @invariant()
    def the_reader_never_holds_more_than_its_capacity(self):
        held = sum(isinstance(event, Publication) for event in self.buffer)
        assert held == self.track.held <= CAPACITY

    def teardown(self):
        """Once the network is quiet, everything published arrives."""
        if not hasattr(self, "track"):
            return
        for _ in range(10 * (self.top + 10)):
            if self.buffer:
                self.reads()
            elif self.live.questions:
                self.live_answers()
            elif self.live.sent is not None and self.live.sent < self.top:
                self.live_pushes()
        assert self.track.position.offset == self.top
        assert not self.track.is_paused


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def welcomed(registry, **result):
    conversation = Conversation(registry)
    hello = conversation.greeting(ConnectRequest())
    return conversation, conversation.feed(Reply(id=hello.id, connect=ConnectResult(**result)))


def test_a_welcome_carries_the_lease_of_the_token():
    result = ConnectResult(client="c", expires=True, ttl=30)
    _, effects = welcomed(Registry(), client="c", expires=True, ttl=30)
    assert [Welcome(result), Lease(30.0)] == effects


def test_a_refused_connect_hangs_up():
    conversation = Conversation(Registry())
    hello = conversation.greeting(ConnectRequest())
    (hangup,) = conversation.feed(Reply(id=hello.id, error=ErrorObject(103, "permission denied")))
    assert isinstance(hangup, Hangup)
    assert (103, True) == (hangup.ending.code, hangup.ending.terminal)


def test_a_reply_nobody_waits_for_is_ignored():
    conversation, _ = welcomed(Registry())
    assert [] == conversation.feed(Reply(id=77))
    command = conversation.number(Command())
    conversation.forget(command.id)
    assert [] == conversation.feed(Reply(id=command.id))


def test_the_same_reply_twice_counts_once():
    conversation, _ = welcomed(Registry())
    command = conversation.number(Command())
    reply = Reply(id=command.id)
    assert [Answer(reply)] == conversation.feed(reply)
    assert [] == conversation.feed(reply)


def test_pings_are_answered_when_the_server_wants_it():
    asked, _ = welcomed(Registry(), ping=25, pong=True)
    silent, _ = welcomed(Registry(), ping=25)
    assert [Pong()] == asked.feed(Reply())
    assert [] == silent.feed(Reply())


def test_a_disconnect_push_is_a_move_or_the_end():
    conversation, _ = welcomed(Registry())
    (move,) = conversation.feed(Reply(push=Push(disconnect=DisconnectPush(3011, "force"))))
    (end,) = conversation.feed(Reply(push=Push(disconnect=DisconnectPush(3503, "force"))))
    assert isinstance(move, Move)
    assert isinstance(end, Hangup)


def test_a_refresh_push_renews_the_lease():
    conversation, _ = welcomed(Registry())
    push = Push(refresh=RefreshPush(expires=True, ttl=9))
    assert [Lease(9.0)] == conversation.feed(Reply(push=push))


def subscribed_track(capacity=None):
    registry = Registry()
    track = Track(channel="c", wishes=Wishes(capacity=capacity))
    registry.chosen["c"] = track
    conversation, _ = welcomed(registry)
    command = conversation.number(Command(subscribe=track.request()), track)
    conversation.feed(Reply(id=command.id, subscribe=SubscribeResult()))
    return registry, track, conversation


@given(st.integers(2000, 2999))
def test_unsubscribe_codes_split_at_2500(code):
    registry, track, conversation = subscribed_track()
    push = Push(channel="c", unsubscribe=Unsubscribe(code, "why"))
    (effect,) = conversation.feed(Reply(push=push))
    assert isinstance(effect, Resubscribe if code >= 2500 else Deliver)
    assert track.is_over == (code < 2500)


def test_pushes_for_unknown_channels_are_ignored():
    conversation, _ = welcomed(Registry())
    assert [] == conversation.feed(Reply(push=Push(channel="x", pub=published(1))))
    push = Push(channel="x", unsubscribe=Unsubscribe(2000, ""))
    assert [] == conversation.feed(Reply(push=push))


def test_a_full_track_pauses_at_its_capacity_and_not_before():
    _, track, conversation = subscribed_track(capacity=4)

    def push():
        return conversation.feed(Reply(push=Push(channel="c", pub=published(0))))

    for _ in range(4):
        assert [Deliver] == [type(effect) for effect in push()]
    assert [Leave(track)] == push()
    assert [] == push()
    assert [False, True, False] == [track.took_one() for _ in range(3)]


def test_joins_and_leaves_past_the_capacity_are_dropped():
    _, track, conversation = subscribed_track(capacity=4)
    info = ClientInfo(user="u", client="c")
    pushes = [Push(channel="c", join=Join(info)), Push(channel="c", leave=Leaving(info))] * 4
    effects = [effect for push in pushes for effect in conversation.feed(Reply(push=push))]
    assert [Deliver] * 4 == [type(effect) for effect in effects]
    assert not track.is_paused
    track.took_one()
    assert 1 == len(conversation.feed(Reply(push=pushes[0])))


def test_a_stream_that_lost_its_end_is_followed_from_where_it_is_now():
    track = Track(channel="c", position=StreamPosition(offset=9, epoch="e"))
    lost = SubscribeResult(recoverable=True, epoch="e", offset=4, was_recovering=True)
    track.subscribed(lost, feed=object())
    assert [5] == [event.offset for event in track.published(published(5))]


def test_what_the_old_connection_says_after_the_change_does_not_count():
    registry, track, old = subscribed_track()
    new, _ = welcomed(registry)
    command = new.number(Command(subscribe=track.request()), track)
    new.feed(Reply(id=command.id, subscribe=SubscribeResult()))
    goodbyes = [
        Push(channel="c", unsubscribe=Unsubscribe(2000, "shutdown")),
        Push(channel="c", unsubscribe=Unsubscribe(2500, "insufficient state")),
        Push(channel="c", pub=published(0)),
    ]
    assert [[]] * 3 == [old.feed(Reply(push=push)) for push in goodbyes]
    assert not track.is_over
    assert track.feed is new
