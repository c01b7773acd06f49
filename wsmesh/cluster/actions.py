"""What a failure detector wants done, and the figures it works with."""

from __future__ import annotations

from attrs import field, frozen

from wsmesh.cluster.nodes import Identity


@frozen(kw_only=True)
class Timing:
    """How patient a detector is; all in seconds.

    :param interval: `[cluster] probe_interval`, from probe to probe of one node.
    :param timeout: `[cluster] probe_timeout`, for an answer.
    :param misses: `[cluster] probe_misses`, unanswered probes in a row before an accusation.
    :param lease: `[node] node_timeout`.
    """

    interval: float = 1.0
    timeout: float = 0.5
    misses: int = 2
    lease: float = 15.0

    @property
    def detection(self) -> float:
        """Longest time from a crash to the accusation of a node that monitors it."""
        return self.misses * self.interval + self.timeout

    @property
    def window(self) -> float:
        """How long an accusation counts; it is repeated with every further miss."""
        return (self.misses + 1) * self.interval

    @property
    def relay_timeout(self) -> float:
        """For a probe on behalf of another node: its answer must get back in time."""
        return 0.6 * self.timeout

    @property
    def tolerance(self) -> float:
        """How late a timer may be before this node distrusts what it saw."""
        return self.timeout / 2

    @property
    def stutter(self) -> float:
        """How late a timer may be without a thought that answers wait to be read."""
        return self.timeout / 10


@frozen
class SendProbe:
    """Ask a node whether it is there; tell `failed` if the message cannot be sent."""

    target: Identity
    number: int


@frozen
class AskProbe:
    """Ask another node to probe `target`."""

    intermediary: str
    target: Identity
    number: int


@frozen
class SendReport:
    """Tell the node that asked whether its target answered this one."""

    asker: str
    number: int
    target: str
    reached: bool


@frozen
class Accuse:
    """Tell the registry that a node does not answer; without a store, nothing.

    :param is_refused: its process is gone as far as its host tells.
    """

    target: Identity
    is_refused: bool = field(default=False, kw_only=True)


@frozen
class Withdraw:
    """Tell the registry that the accused answers, or that the accuser was not well."""

    target: Identity


@frozen
class Suspect:
    """Place no new clients there."""

    target: Identity


@frozen
class Clear:
    """The suspected node answers again."""

    target: Identity


@frozen
class SelfHealth:
    """How unwell this node is, 0 (well: it may accuse) to 8; not ready above 0."""

    score: int


Action = (
    SendProbe | AskProbe | SendReport | Accuse | Withdraw | Suspect | Clear | SelfHealth
)  # fmt: skip
