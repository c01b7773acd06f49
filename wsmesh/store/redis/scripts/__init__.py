"""Lua scripts as Redis runs them: one file each, known to the servers by its digest."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from attrs import field, frozen

_HERE = "wsmesh.store.redis"


@frozen
class Script:
    """A Lua script.

    :ivar sha: what EVALSHA calls it.
    """

    name: str
    source: str = field(repr=False)
    sha: str = field(init=False, repr=False)

    @sha.default
    def _digest(self) -> str:
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


def load_script(*where: str) -> Script:
    """Return the script of a file: `load_script(name)` from this directory.

    `load_script(package, name)` looks into the directory `scripts` of another package.

    :raises FileNotFoundError: there is no such script.
    """
    *package, name = where
    home = files(package[0] if package else _HERE)
    return Script(name, (home / "scripts" / f"{name}.lua").read_text(encoding="utf-8"))
