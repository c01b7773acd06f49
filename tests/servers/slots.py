"""Moving a slot of a cluster step by step, so that a test can look at the states in between."""

from __future__ import annotations

from attrs import frozen

from tests.servers.standalone import ADMIN, ADMIN_PASSWORD, RedisServer

MIGRATE_WITHIN = 5_000
"""Milliseconds for moving a batch of keys."""


@frozen(kw_only=True)
class SlotMove:
    """A slot on its way from one master to another: `begin`, `move_keys`, `finish`.

    Between `begin` and `finish` the source answers ASK for keys it has no more.
    """

    slot: int
    source: RedisServer
    source_id: str
    target: RedisServer
    target_id: str
    masters: list[RedisServer]

    def begin(self) -> None:
        """Announce the move to both sides."""
        self._set_slot(self.target, "IMPORTING", self.source_id)
        self._set_slot(self.source, "MIGRATING", self.target_id)

    def move_keys(self, limit: int = 1_000_000) -> int:
        """Move up to `limit` keys; return how many were moved."""
        moved = 0
        while moved < limit:
            keys = self.source.admin.execute_command(
                "CLUSTER GETKEYSINSLOT", self.slot, min(100, limit - moved)
            )
            if not keys:
                break
            auth = ["AUTH2", ADMIN, ADMIN_PASSWORD] if self.source.users is not None else []
            self.source.admin.execute_command(
                "MIGRATE", *self.target.address, "", 0, MIGRATE_WITHIN, *auth, "KEYS", *keys
            )
            moved += len(keys)
        return moved

    def finish(self) -> None:
        """Give the slot to the target; every key must have been moved."""
        others = [one for one in self.masters if one not in (self.source, self.target)]
        for server in (self.target, self.source, *others):
            self._set_slot(server, "NODE", self.target_id)

    def carry_out(self) -> None:
        """Do all three; keys written meanwhile are moved too."""
        self.begin()
        while self.move_keys():
            pass
        self.finish()

    def _set_slot(self, server: RedisServer, what: str, name: str) -> None:
        server.admin.execute_command("CLUSTER SETSLOT", self.slot, what, name)
