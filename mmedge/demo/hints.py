"""Hints about a digit in a few words: partial, sometimes wrong, never enough."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_TOKENS", "TOKENIZER", "encode", "hint_for", "vocabulary"]

TOKENIZER = Path(__file__).parent / "hints.tokenizer.json"
MAX_TOKENS = 8

# Each holds for at least three digits: no hint gives the digit away.
FACTS: dict[str, frozenset[int]] = {
    "even": frozenset({0, 2, 4, 6, 8}),
    "odd": frozenset({1, 3, 5, 7, 9}),
    "small": frozenset({0, 1, 2, 3, 4}),
    "large": frozenset({5, 6, 7, 8, 9}),
    "prime": frozenset({2, 3, 5, 7}),
    "not prime": frozenset({0, 1, 4, 6, 8, 9}),
    "has a loop": frozenset({0, 6, 8, 9}),
    "no loop": frozenset({1, 2, 3, 5, 7}),
    "straight lines": frozenset({1, 4, 7}),
    "all curves": frozenset({0, 3, 6, 8, 9}),
    "a square number": frozenset({0, 1, 4, 9}),
    "a multiple of three": frozenset({0, 3, 6, 9}),
    "in the middle": frozenset({3, 4, 5, 6}),
}
NEUTRAL = ("no idea", "a digit", "hard to say")


def hint_for(rng: np.random.Generator, digit: int | None, wrong: float = 0.2) -> str:
    """Say something about a digit.

    Args:
        rng: all chance comes from here.
        digit: 0..9; ``None`` where there is none, of which a hint knows little.
        wrong: share of hints that are about another digit.

    Returns:
        One fact, or two joined by "and", or something neutral.
    """
    if rng.random() < (0.25 if digit is not None else 0.7):
        return str(rng.choice(NEUTRAL))
    if digit is None or rng.random() < wrong:
        digit = int(rng.integers(10))
    true = [fact for fact, digits in FACTS.items() if digit in digits]
    first, second = (str(fact) for fact in rng.choice(true, size=2, replace=False))
    together = FACTS[first] & FACTS[second]
    return f"{first} and {second}" if len(together) >= 3 and rng.random() < 0.4 else first


@cache
def vocabulary() -> dict[str, int]:
    """Word -> token id, as the tokenizer's file has it."""
    words: dict[str, int] = json.loads(TOKENIZER.read_text("utf-8"))["model"]["vocab"]
    return words


def encode(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask, int64 ``[8]`` each, as the tokenizers library gives them.

    Training needs no tokenizer library for that: the hints are lower-case words.
    """
    words = vocabulary()
    tokens = [words.get(word, words["[UNK]"]) for word in text.split()][:MAX_TOKENS]
    ids, mask = np.zeros((2, MAX_TOKENS), np.int64)
    ids[: len(tokens)], mask[: len(tokens)] = tokens, 1
    return ids, mask
