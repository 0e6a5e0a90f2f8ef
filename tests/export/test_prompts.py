"""A dual encoder from torch to zero-shot answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mmedge import Image, Matching, Predictor, Text  # noqa: E402
from mmedge.demo.hints import TOKENIZER, vocabulary  # noqa: E402
from mmedge.errors import ConfigError  # noqa: E402
from mmedge.export import ExportConfig, Exported, Recipe, export_bundle  # noqa: E402
from mmedge.models import DualEncoder, ImageCNN, TextLSTM  # noqa: E402

pytestmark = pytest.mark.torch

GREY = Image(height=16, width=16, colour="grey", std=(0.25,))


def recipe(**changes: object) -> Recipe:
    torch.manual_seed(0)
    fields = {
        "modalities": {"photo": GREY, "caption": Text(tokenizer=str(TOKENIZER), max_tokens=8)},
        "encoders": {"photo": ImageCNN(1, 4, 8), "caption": TextLSTM(len(vocabulary()), 8)},
        "fusion": DualEncoder({"photo": 8, "caption": 8}, {"fits": 1}),
        "tasks": {"fits": Matching(between=("photo", "caption"))},
    }
    return Recipe(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("dual") / "dual.mmedge"
    return export_bundle(recipe(), ExportConfig(out=out))


def photo(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_prompts_are_answered_as_torch_answers_them(made: Exported) -> None:
    model = recipe()
    encoders = {name: module.eval() for name, module in model.encoders.items()}  # type: ignore[union-attr]
    head = model.fusion.eval()  # type: ignore[union-attr]
    texts = ["even", "odd", "has a loop"]
    with Predictor(made.bundle) as predictor, torch.no_grad():
        predictor.set_prompts(texts)
        answer = predictor.predict(photo=photo(1)).tasks["fits"]
        frame = torch.from_numpy(predictor.prepare("photo", photo(1))["frames"])[None]
        seen = encoders["photo"](frame.permute(0, 3, 1, 2).float() / 255 / 0.25)
        read = [
            encoders["caption"](
                *(torch.from_numpy(a)[None] for a in predictor.prepare("caption", t).values())
            )
            for t in texts
        ]
        here = torch.ones(1, 2, dtype=torch.bool)
        logits = torch.cat([head({"photo": seen, "caption": r}, here)["fits"][:, 0] for r in read])
    expected = torch.softmax(logits.double(), dim=0).tolist()
    assert list(answer.scores.values()) == pytest.approx(expected, abs=1e-4)
    assert answer.label == texts[int(np.argmax(expected))]


def test_without_prompts_the_pair_is_matched(made: Exported) -> None:
    with Predictor(made.bundle) as predictor:
        answer = predictor.predict(photo=photo(1), caption="odd").tasks["fits"]
        alone = predictor.predict(photo=photo(1)).tasks["fits"]
    assert list(answer.scores) == ["match"]
    assert alone.scores["match"] == pytest.approx(0.5)


def test_swapping_prompts_encodes_them_and_nothing_else(made: Exported) -> None:
    with Predictor(made.bundle, threads=1) as predictor:
        calls: list[tuple[str, int]] = []
        real = predictor.encode

        def encode(name: str, arrays: Any) -> Any:
            calls.append((name, len(arrays["ids"])))
            return real(name, arrays)

        predictor.encode = encode  # type: ignore[method-assign]
        predictor.set_prompts(["even", "odd"])
        predictor.set_prompts(["odd", "even", "has a loop"])
    assert calls == [("caption", 2), ("caption", 3)]


def test_a_matching_task_between_unknown_modalities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is between photo and sound, but the modalities are"):
        recipe(tasks={"fits": Matching(between=("photo", "sound"))})
