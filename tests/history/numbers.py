"""Numbers for messages, so that millions of them are no strings."""

from __future__ import annotations

from attrs import define, field

#: A message's number: publisher's index above, counter below these bits.
_COUNTER_BITS = 40
_LARGEST_COUNTER = (1 << _COUNTER_BITS) - 1


@define(eq=False)
class Numbers:
    """`mid` <-> number, so that millions of them are no strings."""

    _publishers: dict[str, int] = field(factory=dict)
    _names: list[str] = field(factory=list)
    _odd: dict[str, int] = field(factory=dict)
    _odd_names: list[str] = field(factory=list)

    def number(self, mid: str) -> int:
        """Return the number of `mid`; negative for one that no publisher would give."""
        publisher, _, text = mid.rpartition("-")
        try:
            counter = int(text)
        except ValueError:
            return self._odd_number(mid)
        if not 0 <= counter <= _LARGEST_COUNTER or str(counter) != text:
            return self._odd_number(mid)
        index = self._publishers.get(publisher)
        if index is None:
            index = self._publishers[publisher] = len(self._names)
            self._names.append(publisher)
        return index << _COUNTER_BITS | counter

    def _odd_number(self, mid: str) -> int:
        number = self._odd.get(mid)
        if number is None:
            self._odd_names.append(mid)
            number = self._odd[mid] = -len(self._odd_names)
        return number

    def mid(self, number: int) -> str:
        """Return the `mid` of a number."""
        if number < 0:
            return self._odd_names[-1 - number]
        return f"{self.publisher(number)}-{self.counter(number)}"

    def publisher(self, number: int) -> str:
        """Return who published."""
        return "" if number < 0 else self._names[number >> _COUNTER_BITS]

    @staticmethod
    def counter(number: int) -> int:
        """Return the publisher's counter."""
        return number & _LARGEST_COUNTER
