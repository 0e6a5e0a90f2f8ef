"""Four modalities at once, and several of one kind: from torch to predictions from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

torch = pytest.importorskip("torch")

from mmedge import Classification, Image, MultiLabel, Predictor, Regression, Sound  # noqa: E402
from mmedge.errors import ConfigError  # noqa: E402
from mmedge.export import Exported, Recipe  # noqa: E402
from mmedge.export.encoders import EncoderGraph  # noqa: E402
from mmedge.models import JointTransformerFusion  # noqa: E402
from mmedge.runtime.offline import assign, predict_files  # noqa: E402
from mmedge.runtime.windows.walk import iter_windows  # noqa: E402
from tests.export.pairs import ENCODERS, FOUR, WIDTH, encoder_of  # noqa: E402
from tests.export.recipes import PIXELS, Flat, Head, export_to, one_picture, stir  # noqa: E402
from tests.runtime.media import write_wav  # noqa: E402

pytestmark = pytest.mark.torch

TASKS = {
    "event": Classification(labels=("quiet", "glass", "alarm"), temperature=2.0),
    "tags": MultiLabel(labels=("indoors", "night")),
    "distance": Regression(names=("distance",), units=("m",), scale=10.0, offset=5.0),
}


def everything() -> Recipe:
    torch.manual_seed(0)
    head = JointTransformerFusion(
        dict.fromkeys(FOUR, WIDTH),
        {name: task.shape[0] for name, task in TASKS.items()},
        width=8,
        heads=2,
        depth=1,
        max_tokens=4,
    )
    stir(head)
    return Recipe(
        modalities={name: ENCODERS[form[0]][0] for name, form in FOUR.items()},
        encoders={name: encoder_of(form) for name, form in FOUR.items()},
        fusion=head,
        tasks=TASKS,
    )


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_to(tmp_path_factory.mktemp("four"), everything())


@pytest.fixture(scope="module")
def predictor(four: Exported) -> Iterator[Predictor]:
    with Predictor(four.bundle, threads=1) as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """One second of each: a picture, a sound, words and a signal."""
    Picture.new("RGB", (20, 16), (250, 120, 10)).save(tmp_path / "a.png")
    tone = 0.5 * np.sin(np.arange(8000) * 0.7)
    write_wav(tmp_path / "a.wav", (tone * 32767).astype(np.int16), 8000)
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(32, 2)))
    names = {"camera": "a.png", "mic": "a.wav", "imu": "a.npy"}
    return {"hint": "odd even", **{name: str(tmp_path / file) for name, file in names.items()}}


def predict(predictor: Predictor, given: list[str]) -> Any:
    sources = assign(given, predictor.manifest.modalities)
    *_, last = predict_files(predictor, sources)
    return last.prediction


def test_all_sixteen_subsets_of_four_modalities_are_proven(four: Exported) -> None:
    assert four.parity.passed
    for task in TASKS:
        for batch in (1, 2, 5):
            subsets = {
                each.subset
                for each in four.parity.findings
                if (each.point, each.batch) == (f"end to end/{task}", batch)
            }
            assert len(subsets) == 16
    assert list(four.bundle.manifest.presence) == list(FOUR)


def in_torch(predictor: Predictor, given: dict[str, str], absent: str = "") -> dict[str, Any]:
    """The last window of the same files, all the way through the torch modules."""
    recipe, modalities = everything(), predictor.manifest.modalities
    sources = assign([f"{k}={v}" for k, v in given.items() if k != absent], modalities)
    *_, window = iter_windows(sources, modalities)
    inputs = {key: torch.zeros(1, 4, WIDTH) for key in FOUR}
    inputs |= {"mic": torch.zeros(1, WIDTH), "hint_mask": torch.zeros(1, 4, dtype=torch.bool)}
    with torch.no_grad():
        for name, raw in window.raw.items():
            graph = EncoderGraph(name, recipe.modalities[name], recipe.encoder(name)).eval()
            arrays = predictor.prepare(name, raw).values()
            outputs = graph(*(torch.from_numpy(array)[None] for array in arrays))
            inputs |= dict(zip((name, f"{name}_mask"), outputs, strict=False))
        presence = torch.tensor([[name != absent for name in FOUR]])
        answers = recipe.head.module.eval()(inputs, presence)
    return {name: each[0].double() for name, each in answers.items()}


@pytest.mark.parametrize("absent", ["", "camera", "mic", "hint", "imu"])
def test_files_of_four_kinds_are_answered_as_torch_answers_them(
    predictor: Predictor, files: dict[str, str], absent: str
) -> None:
    given = [f"{name}={value}" for name, value in files.items() if name != absent]
    found = predict(predictor, given)
    wanted = in_torch(predictor, files, absent)
    assert found.presence == {name: name != absent for name in FOUR}
    soft = torch.softmax(wanted["event"] / 2.0, dim=0).tolist()
    assert list(found.tasks["event"].scores.values()) == pytest.approx(soft, abs=1e-4)
    tags = torch.sigmoid(wanted["tags"]).tolist()
    assert list(found.tasks["tags"].scores.values()) == pytest.approx(tags, abs=1e-4)
    distance = found.tasks["distance"].scores["distance"]
    assert distance == pytest.approx(wanted["distance"].item() * 10 + 5, rel=1e-4, abs=1e-3)


def test_four_contributions_add_up_to_the_score_less_the_prior(
    predictor: Predictor, files: dict[str, str]
) -> None:
    found = predict(predictor, [f"{name}={value}" for name, value in files.items()])
    blank = predictor.embed([{}])
    prior = predictor.fuse(blank, np.zeros((1, 4), dtype=bool))["distance"].item() * 10 + 5
    answer = found.tasks["distance"]
    assert set(answer.contributions) == set(FOUR)
    assert min(map(abs, answer.contributions.values())) > 1e-4
    shares = sum(answer.contributions.values())
    assert shares == pytest.approx(answer.scores["distance"] - prior, abs=1e-4)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Two cameras of different sizes and two microphones of different rates."""
    torch.manual_seed(0)
    recipe = one_picture(
        modalities={
            "front": PIXELS,
            "back": Image(height=8, width=4),
            "near": Sound(rate_hz=1000, window_ms=64, hop_ms=64),
            "far": Sound(rate_hz=2000, window_ms=64, hop_ms=64),
        },
        encoders={"front": Flat(), "back": Flat(96), "near": Flat(64), "far": Flat(128)},
        fusion=Head(4),
    )
    return export_to(tmp_path_factory.mktemp("twins"), recipe)


def test_two_cameras_and_two_microphones_are_told_apart_by_name(
    twins: Exported, tmp_path: Path, mmedge: Callable[..., tuple[int, str, str]]
) -> None:
    assert len({each.subset for each in twins.parity.findings if each.subset}) == 16
    for number, colour in enumerate([(255, 0, 0), (0, 0, 255)]):
        Picture.new("RGB", (8, 8), colour).save(tmp_path / f"{number}.png")
        tone = np.sin(np.arange(128) * (0.2 + number))
        write_wav(tmp_path / f"{number}.wav", (tone * 20000).astype(np.int16), 2000)
    red, blue, low, high = (str(tmp_path / each) for each in ("0.png", "1.png", "0.wav", "1.wav"))
    with Predictor(twins.bundle, threads=1) as predictor:

        def scores(*given: str) -> list[float]:
            return list(predict(predictor, list(given)).tasks["answer"].scores.values())

        straight = scores(f"front={red}", f"back={blue}", f"near={low}", f"far={high}")
        again = scores(f"far={high}", f"near={low}", f"back={blue}", f"front={red}")
        swapped = scores(f"front={blue}", f"back={red}", f"near={low}", f"far={high}")
        crossed = scores(f"front={red}", f"back={blue}", f"near={high}", f"far={low}")
        assert straight == pytest.approx(again)
        assert abs(straight[0] - swapped[0]) > 1e-4
        assert abs(straight[0] - crossed[0]) > 1e-4
        with pytest.raises(ConfigError, match="front"):
            assign([red], predictor.manifest.modalities)
    code, _, err = mmedge("predict", twins.bundle.path, red)
    assert code == 2
    assert "front" in err
