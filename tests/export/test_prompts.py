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
from mmedge.runtime.retrieval.items import Item  # noqa: E402
from mmedge.runtime.retrieval.search import build_gallery, search  # noqa: E402

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


def test_several_templates_are_averaged_as_logits(made: Exported) -> None:
    texts, templates = ["even", "odd"], ("{}", "not {} prime")
    with Predictor(made.bundle) as predictor:
        mean = np.zeros(2)
        for template in templates:
            predictor.set_prompts(texts, template)
            scores = predictor.predict(photo=photo(1)).tasks["fits"].scores
            mean += np.log([scores[text] for text in texts]) / 2
        predictor.set_prompts(texts, templates)
        averaged = predictor.predict(photo=photo(1)).tasks["fits"].scores
    assert np.log(averaged["even"] / averaged["odd"]) == pytest.approx(mean[0] - mean[1], abs=1e-5)


def test_a_gallery_is_searched_as_torch_compares(made: Exported) -> None:
    head = recipe().fusion.eval()  # type: ignore[union-attr]
    with Predictor(made.bundle) as predictor, torch.no_grad():
        items = [Item(name=str(seed), inputs={"photo": photo(seed)}) for seed in range(9)]
        gallery = build_gallery(predictor, items)
        hits = search(predictor, gallery, {"caption": "has a loop"}, top=9)
        seen = torch.from_numpy(gallery.tables["photo"].embeddings["photo"])
        read = torch.from_numpy(predictor.embed([{"caption": "has a loop"}])["caption"])
        cosine = head.embed("photo", seen) @ head.embed("caption", read)[0]
        expected = head.temperature().exp() * cosine
    assert [hit.name for hit in hits] == [
        str(i) for i in expected.argsort(descending=True).tolist()
    ]
    assert [hit.score for hit in hits] == pytest.approx(
        sorted(expected.tolist(), reverse=True), abs=1e-4
    )


def test_a_tokenizer_of_more_tokens_than_the_encoder_has_is_refused(tmp_path: Path) -> None:
    small = TextLSTM(len(vocabulary()) - 1, 8)
    with pytest.raises(ConfigError, match=r"'caption' gives ids up to \d+, and the encoder fails"):
        export_bundle(
            recipe(encoders={"photo": ImageCNN(1, 4, 8), "caption": small}),
            ExportConfig(out=tmp_path / "x.mmedge"),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_matching_task_between_unknown_modalities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is between photo and sound, but the modalities are"):
        recipe(tasks={"fits": Matching(between=("photo", "sound"))})
