"""One client connection: its socket, its nursery, what it still has to send, and its end.

The pump calls `on_readable` and `flush`; neither waits. Work that waits (`enqueue`), and the
writer that exists while the socket takes nothing, run in the connection's own nursery. A fault in
any of them ends this connection and no other.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

import trio

from wsmesh.channels.channel import Backlog
from wsmesh.errors import Disconnect, ProtocolViolation
from wsmesh.ingress.backlog import DISCARDING, StalledFrames
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.phase import Job, Phase
from wsmesh.ingress.tls import TLSSocket
from wsmesh.protocol import codes
from wsmesh.timers import Timer
from wsmesh.wire.frames import close_frame, compressed_text_frame, text_frame

WRITE = 128 * 1024
"""Bytes offered to a stalled socket at a time."""

CLOSE_WITHIN = 1.0
"""Seconds the peer has to answer a close frame before the socket is closed anyway."""

FAREWELL_WITHIN = 5.0
"""Seconds for what has to be said to the store and the application after the end."""

class Connection:
    """A client connection.

    :ivar dialect: how its frames look (`wsmesh.channels.channel`).
    :ivar out: the frame or frames of the current turn.
    :ivar backlog: frames of a stalled socket.
    :ivar waiting: jobs that are running or queued.
    :ivar peer: IP address at the other end of the socket, empty on a Unix socket.
    :ivar address: the client's, which differs from `peer` behind a trusted proxy.
    """

    __slots__ = (
        "_accepted_at", "_alarm", "_cancel", "_code", "_doorway", "_farewell", "_fault", "_fd",
        "_has_left", "_is_last", "_is_paused", "_is_working", "_jobs", "_linger", "_recv_into",
        "_send", "_socket", "_spawn", "_state", "_wake", "address", "backlog", "dialect", "headers",
        "is_secure", "out", "peer", "phase", "waiting",
    )  # fmt: skip

    OPEN, CLOSING, GONE = 0, 1, 2

    def __init__(
        self, doorway: Doorway, sock: socket.socket | TLSSocket, address: str, *, is_secure: bool
    ) -> None:
        self._doorway = doorway
        self._accepted_at = trio.current_time()
        self._socket = sock
        self._fd = sock.fileno()
        self._recv_into = None if isinstance(sock, TLSSocket) else sock.recv_into
        self._send = sock.send
        self.peer = address
        self.address = address
        self.is_secure = is_secure
        self.headers: tuple[tuple[str, str], ...] = ()
        self.dialect = 0
        self.out: bytes | list[bytes] | None = None
        self.backlog: Backlog | None = None
        self.phase: Phase | None = None
        self.waiting = 0
        self._jobs: deque[Job] | None = None
        self._is_working = False
        self._is_paused = False
        self._is_last = False
        self._has_left = False
        self._farewell: list[Job] = []
        self._state = self.OPEN
        self._code = (codes.CONNECTION_CLOSED.code, codes.CONNECTION_CLOSED.reason)
        self._fault: Exception | None = None
        self._alarm: Timer | None = None
        self._linger: Timer | None = None
        self._wake: trio.Event | None = None
        self._spawn: Callable[..., None] | None = None
        self._cancel: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Connection fd={self._fd} {self.address} state={self._state}>"

    # -- life -----------------------------------------------------------------------------------

    async def serve(self, begun: bytes = b"") -> None:
        """Live until the connection ends; raises what went wrong, for `isolated` to report.

        :param begun: what somebody else has read from the socket.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._spawn = nursery.start_soon
                self._cancel = nursery.cancel_scope.cancel
                self._doorway.pump.register(self._fd, self)
                if begun:
                    try:
                        self._take(begun)
                    except Exception as fault:  # noqa: BLE001  as the pump does
                        self.on_fault(fault)
                await self._work()
                nursery.cancel_scope.cancel()
            if self._fault is not None:
                raise self._fault
        finally:
            jobs = self._release()
            if jobs:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + FAREWELL_WITHIN):
                    for job in jobs:
                        await job()

    async def _work(self) -> None:
        while self._state != self.GONE and self._fault is None:
            while self._jobs:
                self._is_working = True
                await self._jobs[0]()
                self._is_working = False
                self._jobs.popleft()
                self.waiting -= 1
            if self._state != self.GONE and self._fault is None:
                self._wake = trio.Event()
                await self._wake.wait()
                self._wake = None

    def _release(self) -> list[Job]:
        self.lost()
        for timer in (self._alarm, self._linger):
            if timer is not None:
                timer.cancel()
        self._socket.close()
        self._doorway.departed()
        # Without its circles the connection is freed at once, not by some later collection.
        self.phase = None
        self._spawn = self._cancel = None
        jobs, self._farewell = self._farewell, []
        return jobs

    def _leave(self) -> None:
        """Take the client out of everything that needs no waiting."""
        if self.phase is not None and not self._has_left:
            self._has_left = True
            self._farewell = self.phase.lost(*self._code)

    def lost(self) -> None:
        """The connection is over: nothing can be read or sent any more."""
        if self._state == self.GONE:
            return
        is_busy = self._is_working or isinstance(self.backlog, StalledFrames)
        self._state = self.GONE
        if isinstance(self.backlog, StalledFrames):
            self.backlog.seal()
        self.backlog = DISCARDING
        self.out = None
        self._leave()
        self._doorway.pump.forget(self._fd)
        if is_busy and self._cancel is not None:
            self._cancel()
        if self._wake is not None:
            self._wake.set()

    def on_fault(self, fault: Exception) -> None:
        """Take what reading or sending raised: a violation ends, anything else is a crash."""
        match fault:
            case ProtocolViolation(code=code, reason=reason, limit=limit):
                if limit:
                    self._doorway.metrics.limit_hit(limit)
                self.end(code, reason)
            case Disconnect(code=code, reason=reason):
                self.end(code, reason)
            case _:
                self._crash(fault)

    def _crash(self, fault: Exception) -> None:
        self._fault = fault
        self.end(1011, "internal error")
        if self._is_working and self._cancel is not None:
            self._cancel()
        if self._wake is not None:
            self._wake.set()

    # -- reading --------------------------------------------------------------------------------

    def on_readable(self) -> None:
        """Read once and act on it."""
        try:
            buffer = self._doorway.pump.buffer
            if self._recv_into is None:
                data = self._socket.recv(len(buffer))
            else:
                data = buffer[: self._recv_into(buffer)].tobytes()
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        if data:
            self._take(data)
        else:
            self.lost()

    def _take(self, data: bytes) -> None:
        phase = self.phase
        if phase is None:
            self.lost()
            return
        self._doorway.metrics.bytes_in += len(data)
        if not self._is_last:
            phase.receive(data)

    def shut_down(self) -> None:
        """The node stops: end in the way of what is spoken."""
        if self.phase is not None:
            self.phase.shut_down()

    def pause(self, seconds: float) -> None:
        """Read nothing for a while: the peer is too fast, and TCP tells it so."""
        if not self._is_paused and self._state == self.OPEN:
            self.hold()
            self._doorway.timers.after(seconds, self.resume)

    def hold(self) -> None:
        """Read nothing until `resume`."""
        if not self._is_paused and self._state == self.OPEN:
            self._is_paused = True
            self._doorway.pump.pause(self._fd)

    def resume(self) -> None:
        """Read again."""
        if self._is_paused and self._state != self.GONE:
            self._is_paused = False
            self._doorway.pump.resume(self._fd)

    def alarm(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` in `seconds` unless the connection ends or another alarm is set."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._doorway.timers.after(seconds, action) if seconds > 0 else None

    # -- working --------------------------------------------------------------------------------

    def authenticated(self) -> None:
        """The client's connect command succeeded."""
        self._doorway.authenticated(self.address, trio.current_time() - self._accepted_at)

    def enqueue(self, job: Job) -> None:
        """Run `job` in the connection's nursery after those enqueued before."""
        if self._state == self.GONE:
            return
        if self._jobs is None:
            self._jobs = deque()
        self._jobs.append(job)
        self.waiting += 1
        if self._wake is not None:
            self._wake.set()

    # -- sending --------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send bytes at the end of the turn."""
        self._doorway.fanout.send(self, data)

    def send_text(self, payload: bytes, *, secret: bool = False) -> None:
        """Send a text message; a secret one is never compressed (RFC 7692 section 9)."""
        doorway = self._doorway
        if self.dialect & 1 and not secret and len(payload) >= doorway.compression.min_size:
            frame = compressed_text_frame(doorway.deflater.deflate(payload))
        else:
            frame = text_frame(payload)
        doorway.fanout.send(self, frame)
        doorway.metrics.messages_out += 1

    def flush(self) -> int:
        """Send what the turn produced, return how many bytes went out at once.

        What the kernel does not take waits for a writer.
        """
        out = self.out
        if out is None:
            return 0
        self.out = None
        data = b"".join(out) if isinstance(out, list) else out
        if self.backlog is not None:
            self.backlog.put(data, None)
            return 0
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.lost()
            return 0
        if sent != len(data) or (self.is_secure and self._has_unsent()):
            self._stall(data[sent:])
        return sent

    def _has_unsent(self) -> bool:
        return isinstance(self._socket, TLSSocket) and self._socket.unsent > 0

    def _stall(self, rest: bytes) -> None:
        doorway = self._doorway
        limit, dropped = doorway.limits.send_queue_bytes, doorway.metrics.publication_dropped
        frames = StalledFrames(limit, self._too_slow, dropped, doorway.budget)
        self.backlog = frames
        doorway.stalled[self] = frames
        frames.begin(rest)
        if self._spawn is not None:
            self._spawn(self._write, frames)

    async def _write(self, frames: StalledFrames) -> None:
        """Send the backlog as the socket takes it; the connection is slow when it takes nothing."""
        try:
            while frames or self._has_unsent():
                with trio.move_on_after(self._doorway.limits.write_timeout) as patience:
                    await trio.lowlevel.wait_writable(self._fd)
                if patience.cancelled_caught:
                    self._doorway.metrics.limit_hit("write_timeout")
                    self._code = (codes.SLOW.code, codes.SLOW.reason)
                    self.lost()
                    return
                data = frames.take(WRITE)
                try:
                    sent = self._send(data)
                except BlockingIOError:
                    sent = 0
                self._doorway.metrics.bytes_out += sent
                if sent < len(data):
                    frames.begin(data[sent:])
        except OSError:
            self.lost()
            return
        finally:
            frames.seal()
            self._doorway.stalled.pop(self, None)
        if self._state == self.CLOSING:
            self._hang_up()
        elif self._state == self.OPEN:
            self.backlog = None

    def _too_slow(self, limit: str) -> None:
        self._doorway.metrics.limit_hit(limit)
        self.end(codes.SLOW.code, codes.SLOW.reason)

    # -- ending ---------------------------------------------------------------------------------

    def end(self, code: int, reason: str) -> None:
        """Close a WebSocket: send a close frame, give the peer a moment to answer, hang up."""
        if self._state == self.OPEN:
            self._code = (code, reason)
            if isinstance(self.backlog, StalledFrames):
                self.backlog.clear()
            self._finish(close_frame(code, reason))

    def answer_close(self, code: int, reason: str, frame: bytes) -> None:
        """The peer closed: answer with `frame`, unless we closed first, and hang up."""
        if self._state == self.OPEN:
            self._code = (code, reason)
            self._is_last = True
            self._finish(frame)
        else:
            self.lost()

    def finish(self, last: bytes) -> None:
        """Send the last bytes and hang up (HTTP)."""
        if self._state == self.OPEN:
            self._is_last = True
            self._finish(last)

    def _finish(self, last: bytes) -> None:
        self._state = self.CLOSING
        self._leave()
        if self._alarm is not None:
            self._alarm.cancel()
        self._linger = self._doorway.timers.after(CLOSE_WITHIN, self.lost)
        self.resume()
        if self.backlog is None:
            self._doorway.fanout.send(self, last)
            self._doorway.metrics.bytes_out += self.flush()
            last = b""
        if isinstance(self.backlog, StalledFrames):
            self.backlog.seal(last)
        elif self._state == self.CLOSING:
            self._hang_up()

    def _hang_up(self) -> None:
        """Everything is sent: say so, if the peer has nothing more to tell us."""
        self.backlog = DISCARDING
        if self._is_last:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.lost()
