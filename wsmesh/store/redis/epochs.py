"""Names for epochs, made by nodes because Lua in Redis has no randomness of its own."""

from __future__ import annotations

import random
from string import ascii_letters


class Epochs:
    """Gives each call that may need an epoch one that nobody was given before.

    A name is given out once even when its call may not have been carried out: a stream that was
    rolled back must not get the epoch that it had.

    :param rng: a source that other nodes' sources are independent of.
    """

    def __init__(self, rng: random.Random) -> None:
        self._stem = "".join(rng.choices(ascii_letters, k=8))
        self._given = 0

    def fresh(self) -> str:
        """Return a name: letters and digits."""
        self._given += 1
        return f"{self._stem}{self._given:x}"
