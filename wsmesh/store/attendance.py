"""Who is present in which channel, in memory, until when. Pure."""

from __future__ import annotations

from wsmesh.protocol.messages import ClientInfo
from wsmesh.store.agenda import Agenda


class Attendance:
    """Channel -> client -> info, each entry for its own time to live."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, tuple[float, ClientInfo]]] = {}
        self._agenda = Agenda()

    def __len__(self) -> int:
        return len(self._channels)

    def add(self, channel: str, client: str, info: ClientInfo, expire_at: float) -> None:
        """Record or renew a client."""
        self._channels.setdefault(channel, {})[client] = (expire_at, info)
        self._agenda.note(channel, expire_at)

    def remove(self, channel: str, client: str) -> None:
        """Forget a client, perhaps one that was never there."""
        clients = self._channels.get(channel)
        if clients is None:
            return
        clients.pop(client, None)
        if not clients:
            del self._channels[channel]

    def of(self, channel: str, now: float) -> dict[str, ClientInfo]:
        """Return client id -> info of those whose time is not over."""
        clients = self._channels.get(channel, {})
        return {client: info for client, (until, info) in clients.items() if now < until}

    def sweep(self, now: float, limit: int) -> int:
        """Forget who has expired in up to `limit` channels; return how many it were."""
        swept = 0
        while swept < limit and (channel := self._agenda.take(now)) is not None:
            swept += 1
            clients = self._channels.pop(channel, {})
            left = {client: entry for client, entry in clients.items() if now < entry[0]}
            if left:
                self._channels[channel] = left
                self._agenda.note(channel, min(until for until, _ in left.values()))
        return swept
