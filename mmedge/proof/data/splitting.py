"""Three disjoint parts of the data: for ranges, for the search, for the report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ArtefactError, ConfigError

__all__ = ["PARTS", "SHARES", "Split", "split"]

PARTS = ("ranges", "search", "report")
SHARES = (0.2, 0.4, 0.4)

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Which samples are in which part.

    Attributes:
        ranges: int64, samples that activation ranges are taken from.
        search: int64, samples that plans are chosen by.
        report: int64, samples that no decision has seen.
        digests: part -> its groups, by the first 16 hex digits of their SHA-256. Names of
            speakers or files do not leave this machine with the bundle.
    """

    ranges: Rows
    search: Rows
    report: Rows
    digests: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Give plain types; neither the samples' order nor their names are in them."""
        return {
            part: {"clips": len(getattr(self, part)), "groups": list(self.digests[part])}
            for part in PARTS
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], groups: Sequence[str]) -> Split:
        """Find a split again among samples, which may be others and in another order.

        Args:
            fields: from `to_json`.
            groups: of the samples at hand. One that the split does not know is in no part.

        Raises:
            ArtefactError: ``fields`` is no split.
        """
        try:
            digests = {part: tuple(map(str, fields[part]["groups"])) for part in PARTS}
        except (KeyError, TypeError) as exc:
            raise ArtefactError(
                f"the split lacks {exc}: it has to hold the groups of {', '.join(PARTS)}; "
                "calibrate again"
            ) from exc
        return _split(groups, digests)


def split(groups: Sequence[str], shares: tuple[float, float, float] = SHARES) -> Split:
    """Deal whole groups out to three parts.

    The largest come first, equal ones in the order of the hash of their name, and each goes
    to the part that lacks most of its share: what a group is put to depends on no order of
    samples, and of a few unequal groups the largest are for the proof, not for the ranges.

    Args:
        groups: of each sample.
        shares: of the samples, for ranges, search and report; they add up to 1.

    Raises:
        ConfigError: fewer than three groups, or shares that cannot be meant.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ConfigError(f"shares={shares} must be positive and add up to 1")
    sizes = Counter(groups)
    if len(sizes) < len(PARTS):
        raise ConfigError(
            f"the {len(groups)} clips are of {len(sizes)} group(s) ({_some(sizes)}), and whole "
            f"groups are dealt out to {len(PARTS)} parts (ranges, search, report). Give clips of "
            "at least 3 speakers, sessions or files that share nothing, or a column to split by"
        )
    lacking = dict(zip(PARTS, (share * len(groups) for share in shares), strict=True))
    dealt: dict[str, list[str]] = {part: [] for part in PARTS}
    for left, (digest, size) in enumerate(_ordered(sizes)):
        empty = [part for part in PARTS if not dealt[part]]
        # The last groups go where there is nothing yet.
        open_to = empty if len(sizes) - left == len(empty) else PARTS
        part = max(open_to, key=lacking.__getitem__)
        dealt[part].append(digest)
        lacking[part] -= size
    return _split(groups, {part: tuple(sorted(each)) for part, each in dealt.items()})


def _split(groups: Sequence[str], digests: Mapping[str, tuple[str, ...]]) -> Split:
    part_of = {digest: part for part, each in digests.items() for digest in each}
    parts = [part_of.get(_digest(group)) for group in groups]
    rows = {
        part: np.array([row for row, each in enumerate(parts) if each == part], np.int64)
        for part in PARTS
    }
    return Split(**rows, digests=digests)


def _ordered(sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    digests = ((_digest(group), size) for group, size in sizes.items())
    return sorted(digests, key=lambda each: (-each[1], each[0]))


def _digest(group: str) -> str:
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _some(sizes: Mapping[str, int]) -> str:
    return ", ".join(repr(group[:60]) for group in sorted(sizes)) or "none"
