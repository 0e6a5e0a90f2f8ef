"""Texts: ids and masks, and what a tokenizer file must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers, processors

from mmedge.errors import ArtefactError, ConfigError, ResourceError
from mmedge.runtime.preprocess import make_preprocessor
from mmedge.specs import Text

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "even", "has", "a", "loop"]


def tokenizer() -> Any:
    library = Library(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return library


def content(library: Any = None) -> bytes:
    return (library or tokenizer()).to_str().encode()


def spec(max_tokens: int = 6, pad_id: int = 0) -> Text:
    return Text(tokenizer="tokenizer.json", max_tokens=max_tokens, pad_id=pad_id)


def prepare(text: Any, text_spec: Text | None = None, library: Any = None) -> dict[str, Any]:
    return make_preprocessor("hint", text_spec or spec(), content(library))(text)


def test_a_short_text_is_filled_up() -> None:
    arrays = prepare("has a")
    assert arrays["ids"].tolist() == [2, 5, 6, 3, 0, 0]
    assert arrays["mask"].tolist() == [1, 1, 1, 1, 0, 0]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int64)}


def test_a_long_text_is_cut_before_its_closing_token() -> None:
    arrays = prepare("has a loop even has a loop")
    assert arrays["ids"].tolist() == [2, 5, 6, 7, 4, 3]
    assert arrays["mask"].tolist() == [1, 1, 1, 1, 1, 1]


def test_the_side_of_the_cut_is_the_tokenizers() -> None:
    library = tokenizer()
    library.enable_truncation(512, direction="left")
    assert prepare("has a loop even has a", library=library)["ids"].tolist() == [2, 7, 4, 5, 6, 3]


def test_the_tokenizers_own_padding_and_length_do_not_count() -> None:
    library = tokenizer()
    library.enable_truncation(3)
    library.enable_padding(length=128, pad_id=0, pad_token="[PAD]")
    arrays = prepare("has a", library=library)
    assert arrays["ids"].tolist() == [2, 5, 6, 3, 0, 0]
    assert arrays["mask"].tolist() == [1, 1, 1, 1, 0, 0]


def test_pad_id_is_the_modalitys() -> None:
    assert prepare("even", spec(5, pad_id=1))["ids"].tolist() == [2, 4, 3, 1, 1]


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_text_is_an_absent_one(text: str) -> None:
    with pytest.raises(ConfigError, match="empty text is an absent modality: leave it out"):
        prepare(text)


def test_a_text_without_a_token_is_refused() -> None:
    library = Library(models.WordLevel({"even": 0}, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.CharDelimiterSplit("!")
    with pytest.raises(ConfigError, match="finds no token in '!!'"):
        prepare("!!", library=library)


@pytest.mark.parametrize("raw", [None, 3, b"even", ["even"]])
def test_what_is_no_text_is_refused(raw: Any) -> None:
    with pytest.raises(ConfigError, match=r"'hint' takes a text \(str\), but got"):
        prepare(raw)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ConfigError, match="lone surrogate"):
        prepare("even \ud800")


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(ResourceError, match="1000001 characters"):
        prepare("a" * 1_000_001)


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[1]", b"null", b"\xff\xfe", b'{"version": "1.0"}', b"[" * 100_000]
)
def test_a_file_that_is_no_tokenizer_is_refused(junk: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"'tokenizer.json' is not a tokenizer"):
        make_preprocessor("hint", spec(), junk)


def test_a_tokenizer_of_more_than_32_mib_is_refused_unread() -> None:
    with pytest.raises(ResourceError, match="33554433 bytes"):
        make_preprocessor("hint", spec(), b" " * (32 * 2**20 + 1))


def test_a_missing_tokenizer_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"content of 'tokenizer.json'"):
        make_preprocessor("hint", spec())


def test_pad_id_must_be_in_the_vocabulary() -> None:
    with pytest.raises(ConfigError, match="pad_id=8 is not in the tokenizer's vocabulary of 8"):
        prepare("even", spec(pad_id=8))


def test_pad_id_must_be_the_one_that_the_tokenizer_pads_with() -> None:
    library = tokenizer()
    library.enable_padding(pad_id=1, pad_token="[UNK]")
    with pytest.raises(ConfigError, match="pad_id=0, but the tokenizer pads with 1"):
        prepare("even", library=library)


def test_padding_on_the_left_is_refused() -> None:
    library = tokenizer()
    library.enable_padding(direction="left", pad_id=0, pad_token="[PAD]")
    with pytest.raises(ConfigError, match="pads on the left"):
        prepare("even", library=library)


def test_max_tokens_must_leave_room_beside_the_special_tokens() -> None:
    with pytest.raises(ConfigError, match="max_tokens=2 leaves no room"):
        prepare("even", spec(max_tokens=2))
    assert prepare("even a", spec(max_tokens=3))["ids"].tolist() == [2, 4, 3]
