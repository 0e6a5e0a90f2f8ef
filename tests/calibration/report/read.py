"""Reads a page as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser


class Read(HTMLParser):
    """What is on a page: tags with their attributes, and the text between them.

    A tag that is closed by another one's end, or not at all, is an ``AssertionError``.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, one line for each piece; the style sheet is none."""
        return "\n".join(each for each in self.texts if "--paper" not in each)

    def count(self, tag: str, class_: str = "") -> int:
        """How many elements of a tag, and class, there are."""
        return sum(t == tag and (not class_ or a.get("class") == class_) for t, a in self.tags)
