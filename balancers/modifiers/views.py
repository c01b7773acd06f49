"""Views with some members changed, as modifiers make them."""

from __future__ import annotations

from collections.abc import Mapping

from balancers.interface import Member, View


def replaced(view: View, changed: Mapping[str, Member]) -> View:
    """Return the view with these members (by id) instead of its own; itself when there are none."""
    if not changed:
        return view
    return View(
        view.version, tuple(changed.get(member.id, member) for member in view.members)
    )


def candidates(view: View) -> int:
    """Return how many members accept and have weight, whether they have room or not."""
    return sum(member.is_accepting and member.weight > 0 for member in view.members)
