"""Parts that do not fit each other: refused before anything is exported or written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mmedge.errors import ArtefactError, ConfigError  # noqa: E402
from mmedge.export import Encoder, Fusion  # noqa: E402
from mmedge.specs import Classification, Raw, Text  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    YES_NO,
    Flat,
    Head,
    Words,
    export_to,
    listing,
    one_picture,
)

pytestmark = pytest.mark.torch


class Raises(nn.Module):
    def forward(self, x: Any) -> Any:
        raise KeyError("weights")


class Returns(nn.Module):
    """Returns whatever ``make`` makes of the embedding."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.flat = Flat()
        self.make = make

    def forward(self, x: Any) -> Any:
        return self.make(self.flat(x))


class Plain(nn.Module):
    """A head without presence."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, camera: Any) -> Any:
        return self.linear(camera)


class Wants(nn.Module):
    def forward(self, left: Any, right: Any, presence: Any) -> Any:
        return left + right


class Pair(nn.Module):
    """A vector, and something that might be taken for a mask of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = Flat()

    def forward(self, x: Any) -> Any:
        return self.flat(x), self.flat(x) > 0


class Nothing(nn.Module):
    def forward(self, frames: Any) -> Any:
        return {"frames": frames}


def camera(encoder: nn.Module | Encoder) -> dict[str, Any]:
    return {"encoders": {"camera": encoder}}


def absent(what: Any) -> dict[str, Any]:
    return {"fusion": Fusion(module=Plain(), absent=what)}


A = torch.zeros(4)
THREE = Classification(labels=("a", "b", "c"))
NO_FILE = {"modalities": {"hint": Text(tokenizer="absent.json", max_tokens=4)}}
MISFITS = [
    (camera(Flat(47)), "encoder 'camera' fails on inputs of shape float32(2, 3, 4, 4)"),
    (camera(Flat(47)), "(2x48 and 47x4) (module 'encoder.linear'; recipes.py, line "),
    (camera(Raises()), "KeyError: 'weights' (module 'encoder'; test_misfits.py, line "),
    (camera(Flat(width=5)), "the fusion head fails on inputs of shape float32("),
    (camera(Flat(width=5)), "; it was called with one mapping, which Fusion(call=...) changes)"),
    (camera(nn.Identity()), "encoder 'camera' returned float32 [B, 3, 4, 4]; float32 [B, D]"),
    (camera(Returns(lambda e: e[:, 0])), "returned float32 [B]; float32 [B, D] or"),
    (camera(Returns(lambda e: e[:1])), "'camera' was given a batch of 2 and returned (1, 4)"),
    (camera(Returns(lambda e: (e, e))), "a tuple with 0, 1; Encoder(..., output=...) is needed"),
    (camera(Returns(lambda e: {"a": e, "b": e})), "a dict with 'a', 'b'; Encoder(..., output=.."),
    (camera(Returns(lambda e: None)), "returned a NoneType with no tensors"),
    (camera(Returns(lambda e: e.long())), "'camera' returned int64 [B, 4]; float32 [B, D]"),
    (camera(Encoder(module=Flat(), output="cls")), "output=...) 'cls' is not there"),
    (camera(Encoder(module=Flat(), mask="mask")), "mask=...) 'mask' is not there"),
    (
        camera(Encoder(module=Pair(), output=0, mask=1)),
        "returned a mask [B, 4] for an output [B, 4]",
    ),
    (
        camera(Encoder(module=Flat(), front_end=Nothing())),
        "front-end of 'camera' was given a batch",
    ),
    ({"tasks": {"answer": THREE}}, "task 'answer' has 3 labels, but the fusion head gives"),
    (
        {"tasks": {"answer": Raw(shape=(2, 1))}},
        "task 'answer' has shape=(2, 1), but the fusion head gives shape [B, 2] for it; [B, 2, 1]",
    ),
    ({"tasks": {"answer": YES_NO, "more": YES_NO}}, "but the tasks are ['answer', 'more']"),
    ({"fusion": Plain()}, "the fusion head has no parameter 'presence'"),
    ({"fusion": Wants()}, "the fusion head takes (left, right), but the encoders give camera"),
    ({"fusion": Fusion(module=Head(), absent="mean")}, "and so handles absence itself"),
    (absent({}), "gives tensors for [], but the modalities are ['camera']"),
    (absent({"camera": torch.zeros(5)}), "gives (5,) for 'camera', but its encoder gives [B, 4]"),
    (absent({"camera": A, "mic": A}), "gives tensors for ['camera', 'mic'], but the modalities"),
    ({**NO_FILE, "encoders": {"hint": Words()}}, "modality 'hint': there is no tokenizer file"),
]


@pytest.mark.parametrize(("changes", "message"), MISFITS, ids=[m[:40] for _, m in MISFITS])
def test_parts_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        export_to(tmp_path, one_picture(**changes))
    assert listing(tmp_path) == {}


def test_a_token_that_the_encoder_does_not_know_is_refused(tmp_path: Path) -> None:
    short = Words()
    short.table = nn.Embedding(3, 4)  # the tokenizer has eight words
    hint = Text(tokenizer="words.tokenizer.json", max_tokens=4)
    recipe = one_picture(
        modalities={"hint": hint}, encoders={"hint": short}, folder=Path(__file__).parent
    )
    with pytest.raises(ConfigError, match="'hint' gives ids up to 7, and the encoder fails on"):
        export_to(tmp_path, recipe)


@pytest.mark.parametrize("content", ["{}", "", '{"version": "1.0", "trunc'])
def test_a_damaged_tokenizer_is_refused_by_the_users_name_for_it(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "broken.json").write_text(content)
    hint = Text(tokenizer="broken.json", max_tokens=4)
    recipe = one_picture(modalities={"hint": hint}, encoders={"hint": Words()}, folder=tmp_path)
    with pytest.raises(ArtefactError, match=r"'broken\.json' is not a tokenizer"):
        export_to(tmp_path, recipe)
