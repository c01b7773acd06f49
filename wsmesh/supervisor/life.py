"""What to do with one process: when it counts as hung, when it starts again. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from attrs import define, field

from wsmesh.config.supervisor import SupervisorSection
from wsmesh.supervisor.backoff import wait_after

REFUSES = 2
"""The status of a process that cannot use its configuration; trying again changes nothing."""

AT_ONCE = 3.0
"""Seconds that a process has when it was told a second time to stop."""


class Phase(enum.Enum):
    """Where a process is between two starts."""

    WAITING = "waiting"
    """There is none; it will be started."""
    STARTING = "starting"
    """It has not reported yet."""
    SERVING = "serving"
    """It reports."""
    LEAVING = "leaving"
    """It stops although nobody here told it to: an operator drained it."""
    STOPPING = "stopping"
    """It was told to stop."""


@define(kw_only=True)
class Life:
    """The lives of one process, one after the other.

    `now` is in seconds of any clock that does not go back.

    :param rules: the waits and limits.
    :param stop_within: seconds that a process which stops may take.
    :param chance: draws from 0 to 1, for waits.
    :ivar failures: ends in a row that nobody wanted.
    :ivar has_served: it has reported at least once, in any of its lives.
    :ivar refuses: it never did, because it cannot use its configuration.
    """

    rules: SupervisorSection
    stop_within: float
    chance: Callable[[], float]
    phase: Phase = field(default=Phase.WAITING, init=False)
    failures: int = field(default=0, init=False)
    has_served: bool = field(default=False, init=False)
    refuses: bool = field(default=False, init=False)
    _served_from: float = field(default=math.inf, init=False)
    _deadline: float = field(default=math.inf, init=False)

    @property
    def is_hopeless(self) -> bool:
        """Whether starting it again is not expected to help."""
        return self.failures >= self.rules.give_up_after or self.refuses

    @property
    def is_running(self) -> bool:
        """Whether there is a process that has reported."""
        return self.phase in (Phase.SERVING, Phase.LEAVING)

    @property
    def deadline(self) -> float:
        """When to kill it, if nothing happens until then."""
        return self._deadline

    def start(self, now: float) -> None:
        """It was started."""
        self.phase = Phase.STARTING
        self._served_from = math.inf
        self._deadline = now + self.rules.start_timeout

    def hear(self, now: float, *, leaving: bool) -> None:
        """It reported.

        :param leaving: it said that it is stopping.
        """
        if self.phase is Phase.STARTING:
            self.phase, self.has_served, self.refuses = Phase.SERVING, True, False
            self._served_from = now
        if self.phase is Phase.SERVING:
            self._deadline = now + self.rules.hang_timeout
            if leaving:
                # The last part of stopping is silent: what was opened is closed.
                self.phase = Phase.LEAVING
                self._deadline = now + self.stop_within

    def ask_to_stop(self, now: float) -> None:
        """It was told to stop; a second time it has `AT_ONCE` seconds left."""
        if self.phase is Phase.WAITING:
            return
        if self.phase is Phase.STOPPING:
            self._deadline = min(self._deadline, now + AT_ONCE)
            return
        self.phase = Phase.STOPPING
        self._deadline = now + self.stop_within

    def excuse(self, asleep: float) -> None:
        """The supervisor itself was stopped for so many seconds and could not listen."""
        self._deadline += asleep

    def overdue(self, now: float) -> str:
        """Return why it is to be killed; empty when it is not."""
        if now < self._deadline:
            return ""
        if self.phase is Phase.STARTING:
            return f"did not report within {self.rules.start_timeout:g} s"
        if self.phase is Phase.SERVING:
            return f"said nothing for {self.rules.hang_timeout:g} s"
        return f"did not stop within {self.stop_within:g} s"

    def end(self, now: float, status: int) -> float:
        """Return the seconds to wait before it is started again.

        :param status: its exit status; negative: the signal that ended it.
        """
        phase, self.phase, self._deadline = self.phase, Phase.WAITING, math.inf
        if phase is Phase.STOPPING:
            return 0.0
        if now - self._served_from >= self.rules.healthy_after:
            self.failures = 0
        if phase is Phase.LEAVING and status == 0:
            return self.rules.restart_backoff
        self.failures += 1
        self.refuses = status == REFUSES and not self.has_served
        rules = self.rules
        return wait_after(
            self.failures, rules.restart_backoff, rules.restart_backoff_max, self.chance()
        )
