"""Texts: token ids of a fixed length, by the tokenizer that the encoder was trained with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError, ResourceError
from mmedge.specs import Text

__all__ = ["TextPreprocessor", "Tokenizer"]

Ids = npt.NDArray[np.int64]

_MAX_JSON_BYTES = 32 * 2**20
_MAX_CHARACTERS = 1_000_000


class Tokenizer:
    """A tokenizer of the ``tokenizers`` library, cutting and padding as a modality says.

    The cut keeps the special tokens ([CLS], [SEP]) and the side that the file names.
    Padding is at the end; the file's own padding is not used.

    Args:
        content: the JSON file, at most 32 MiB.
        spec: length and padding token.
        name: the modality's name, for messages.

    Raises:
        ArtefactError: ``content`` is not a tokenizer.
        ConfigError: ``spec`` contradicts it.
        MissingDependencyError: ``tokenizers`` is not installed.
        ResourceError: ``content`` is too large.
    """

    def __init__(self, content: bytes, spec: Text, name: str) -> None:
        self._name = name
        self._spec = spec
        self._tokenizer = _load(content, spec, name)
        _check_padding(self._tokenizer, spec, name)
        special = self._tokenizer.num_special_tokens_to_add(False)
        if spec.max_tokens <= special:
            raise ConfigError(
                f"modality '{name}': max_tokens={spec.max_tokens} leaves no room for a text: "
                f"the tokenizer adds {special} special tokens; raise max_tokens"
            )
        direction = (self._tokenizer.truncation or {}).get("direction", "right")
        self._tokenizer.enable_truncation(spec.max_tokens, direction=direction)
        self._tokenizer.no_padding()

    def __call__(self, text: str) -> list[int]:
        """Give 1 to ``max_tokens`` ids.

        Raises:
            ConfigError: not a text, empty, or without any token.
            ResourceError: more than a million characters.
        """
        ids: list[int] = self._encode(text).ids
        if not ids:
            raise ConfigError(
                f"modality '{self._name}': the tokenizer finds no token in {text[:40]!r}; "
                "a text that says nothing is absent: leave it out"
            )
        return ids

    @property
    def highest_id(self) -> int:
        """The largest id that a text may be given, of tokens that were added too."""
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return max(vocabulary.values(), default=0)

    def cuts(self, text: str) -> bool:
        """Tell whether a text is longer than ``max_tokens``, so that its end would be cut."""
        return bool(self._encode(text).overflowing)

    def _encode(self, text: str) -> Any:
        _check_text(self._name, text)
        with _guarded(self._name):
            return self._tokenizer.encode(text)


class TextPreprocessor:
    """Prepares texts for one text modality.

    Args:
        name: the modality's name, for messages.
        spec: length and padding token that the encoder was trained on.
        tokenizer_json: content of the tokenizer's file.

    Raises:
        MmedgeError: as `Tokenizer`.
    """

    def __init__(self, name: str, spec: Text, tokenizer_json: bytes) -> None:
        self._spec = spec
        self.tokenizer = Tokenizer(tokenizer_json, spec, name)

    def __call__(self, raw: str) -> dict[str, Ids]:
        """Prepare one text.

        Args:
            raw: not blank; an empty text is an absent text, to be left out.

        Returns:
            ``ids`` and ``mask``: int64 ``[max_tokens]``; the mask is 1 where a token
            stands and 0 where ``pad_id`` fills up.

        Raises:
            ConfigError: not a text, empty, or without any token.
            ResourceError: more than a million characters.
        """
        found = self.tokenizer(raw)
        ids = np.full(self._spec.max_tokens, self._spec.pad_id, np.int64)
        ids[: len(found)] = found
        mask = np.zeros(self._spec.max_tokens, np.int64)
        mask[: len(found)] = 1
        return {"ids": ids, "mask": mask}


@contextlib.contextmanager
def _guarded(name: str) -> Iterator[None]:
    """Turn the library's failures into ours: a file from a stranger may make it panic.

    A panic of its Rust code is a BaseException that `Exception` does not cover.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as exc:
        raise ArtefactError(
            f"modality '{name}': the tokenizer fails ({exc}). Is its file complete? "
            "Save it again with Tokenizer.save('tokenizer.json')"
        ) from exc


def _load(content: bytes, spec: Text, name: str) -> Any:
    if len(content) > _MAX_JSON_BYTES:
        raise ResourceError(
            f"modality '{name}': tokenizer '{spec.tokenizer}' has {len(content)} bytes, more "
            f"than the {_MAX_JSON_BYTES} that mmedge reads; use a smaller vocabulary"
        )
    tokenizers = require("tokenizers", extra="text", why=f"modality '{name}' (a text)")
    try:
        with _guarded(name):
            return tokenizers.Tokenizer.from_str(content.decode("utf-8"))
    except ArtefactError as exc:
        raise ArtefactError(
            f"modality '{name}': '{spec.tokenizer}' is not a tokenizer in the JSON format of "
            f"the tokenizers library ({exc.__cause__}). Save it with "
            "Tokenizer.save('tokenizer.json')"
        ) from exc


def _check_padding(tokenizer: Any, spec: Text, name: str) -> None:
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    if spec.pad_id >= size:
        raise ConfigError(
            f"modality '{name}': pad_id={spec.pad_id} is not in the tokenizer's vocabulary of "
            f"{size} tokens; give the id of its padding token"
        )
    own = tokenizer.padding
    if own is None:
        return
    if own["pad_id"] != spec.pad_id:
        raise ConfigError(
            f"modality '{name}': pad_id={spec.pad_id}, but the tokenizer pads with "
            f"{own['pad_id']} ({own['pad_token']!r}); set pad_id={own['pad_id']}"
        )
    if own["direction"] != "right":
        raise ConfigError(
            f"modality '{name}': the tokenizer pads on the {own['direction']}, and mmedge pads "
            "on the right; train with padding on the right"
        )


def _check_text(name: str, text: object) -> None:
    if not isinstance(text, str):
        raise ConfigError(f"modality '{name}' takes a text (str), but got {type(text).__name__}")
    if not text.strip():
        raise ConfigError(
            f"modality '{name}': the text is empty. An empty text is an absent modality: "
            "leave it out"
        )
    if len(text) > _MAX_CHARACTERS:
        raise ResourceError(
            f"modality '{name}': the text has {len(text)} characters, more than the "
            f"{_MAX_CHARACTERS} that mmedge tokenises; shorten it"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ConfigError(
            f"modality '{name}': the text holds half a character (a lone surrogate) at "
            f"position {exc.start}; mend what made it"
        ) from exc
