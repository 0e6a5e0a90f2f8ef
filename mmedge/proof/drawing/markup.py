"""HTML and SVG as text, in which what comes from strangers cannot become markup.

Labels, file names and names of layers are whatever somebody wrote. `element` escapes all that
is plain text; only what it has made itself goes in as it stands.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["Markup", "element", "fold", "joined", "shortened", "table"]

Attribute = str | int | float | bool | None
_VOID = frozenset({"meta"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, /, *children: str, **attributes: Attribute) -> Markup:
    """Make an element.

    Args:
        tag: its name.
        children: markup, or text that is escaped.
        attributes: ``_`` in a name stands for ``-``, and at its end for nothing (``class_``);
            ``None`` and ``False`` leave one out; numbers are coordinates.
    """
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    end = "" if tag in _VOID else f"</{tag}>"
    return Markup(f"<{tag}{said}>{joined(children)}{end}")


def joined(parts: Iterable[str]) -> Markup:
    """Put markup and text, which is escaped, one behind the other."""
    return Markup("".join(each if isinstance(each, Markup) else _escaped(each) for each in parts))


def table(
    names: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> Markup:
    """Make a table that scrolls where it is too wide.

    Args:
        names: of the columns.
        rows: of cells.
        numbers: columns that are set to the right.
    """
    right = frozenset(numbers)

    def cells(kind: str, row: Sequence[str]) -> Markup:
        return joined(
            element(kind, each, class_="number" if column in right else None)
            for column, each in enumerate(row)
        )

    head = element("thead", element("tr", cells("th", names)))
    body = element("tbody", *(element("tr", cells("td", row)) for row in rows))
    return element("div", element("table", head, body), class_="wide")


def fold(title: str, *children: str) -> Markup:
    """Make a part that opens when its title is clicked."""
    return element("details", element("summary", title), *children)


def shortened(text: str, most: int) -> str:
    """Cut a text that is too long for its place."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {key}"
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {key}="{_escaped(text)}"'


def _escaped(text: str) -> str:
    # A file name that is no UTF-8 holds halves of surrogate pairs, which no file can.
    return html.escape(text).encode("utf-8", "replace").decode("utf-8")
