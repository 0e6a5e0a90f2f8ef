"""Which samples belong together: by a column, or by what they share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mmedge.errors import ConfigError

__all__ = ["COLUMNS", "ColumnChoice", "connected"]

COLUMNS = ("speaker", "session")
"""Without a column that is asked for, the first of these that the data has."""


class ColumnChoice:
    """Decides, sample by sample, which column says to which group it belongs.

    The first sample decides; the others have to agree, so that no sample of a speaker slips
    into another group because somebody forgot to name them.

    Args:
        asked: the column to use, or ``None`` for the first of `COLUMNS` that is there.
    """

    def __init__(self, asked: str | None = None) -> None:
        self._wanted = COLUMNS if asked is None else (asked,)
        self._asked = asked
        self._first: str | None = None
        self._column: str | None = None

    def __call__(self, where: str, columns: Mapping[str, str]) -> str | None:
        """Give the sample's group, or ``None`` if no column tells.

        Raises:
            ConfigError: it lacks the column, or has one that the first sample lacks.
        """
        column = next((name for name in self._wanted if columns.get(name)), None)
        if self._first is None:
            self._first, self._column = where, column
        if column is None and self._asked is not None:
            there = ", ".join(sorted(columns)) or "none"
            raise ConfigError(
                f"{where}: no column {self._asked!r} to split by; its columns are {there}. Give "
                "it to every clip, or split by another"
            )
        if column != self._column:
            raise ConfigError(
                f"{where}: its group would be told by {_told(column)}, that of {self._first} by "
                f"{_told(self._column)}; give every clip the same columns, or name the one to "
                "split by"
            )
        return None if column is None else columns[column]


def connected(items: Sequence[Collection[str]]) -> list[str]:
    """Put together what shares an item, over any number of steps.

    Args:
        items: of each sample, at least one: files, say.

    Returns:
        The group of each sample, named by the least of its items, so that neither the order
        of the samples nor that of the items plays a part.
    """
    parent: dict[str, str] = {}

    def root(item: str) -> str:
        while parent.setdefault(item, item) != item:
            parent[item] = item = parent[parent[item]]
        return item

    for each in items:
        first, *others = sorted(each)
        for other in others:
            one, two = sorted((root(first), root(other)))
            parent[two] = one
    return [root(min(each)) for each in items]


def _told(column: str | None) -> str:
    return "no column" if column is None else f"column {column!r}"
