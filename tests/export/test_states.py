"""Encoders with state: exported as pairs, proven along 200 windows, run window by window."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnx import TensorProto  # noqa: E402
from torch import nn  # noqa: E402

from mmedge.errors import ConfigError, MmedgeError, ProofError  # noqa: E402
from mmedge.export import Encoder, ExportConfig, Exported, OnnxFile, State  # noqa: E402
from mmedge.export.draft import Draft  # noqa: E402
from mmedge.proof import verify  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402
from mmedge.runtime.predictor import Predictor  # noqa: E402
from mmedge.specs import Image, LogMel, Signal, Sound  # noqa: E402
from tests.export.onnx_files import drawn, node, scripted  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    HINT,
    Flat,
    Head,
    contents,
    export_to,
    one_picture,
)

pytestmark = pytest.mark.torch

EAR = Sound(rate_hz=1000, window_ms=64, hop_ms=64)
CELL = np.arange(12).reshape(2, 6) / 10
STATES = (
    State(name="hidden", input="h", output="h", shape=(2, "batch", 6), init=0.5),
    State(name="cell", input="c", output="c", shape=(2, "batch", 6), init=CELL),
)


class Listener(nn.Module):
    """Two layers of LSTM over eighths of a window; its batch is axis 1 of what it remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(8, 6, 2, batch_first=True), nn.Linear(6, 4)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        steps, (h, c) = self.lstm(x.unflatten(1, (-1, 8)), (h, c))
        return {"told": self.last(steps[:, -1]), "h": h, "c": c}


def hearing(encoder: Any, modality: Any = EAR, width: int = 4) -> Any:
    return one_picture(
        modalities={"ear": modality}, encoders={"ear": encoder}, fusion=Head(width=width)
    )


def listener(**changes: Any) -> Encoder:
    torch.manual_seed(0)
    return Encoder(**{"module": Listener(), "output": "told", "state": STATES} | changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_to(tmp_path_factory.mktemp("states"), hearing(listener(context=16)))


def test_what_it_remembers_is_pairs_of_inputs_and_outputs_batch_first(made: Exported) -> None:
    manifest = made.bundle.manifest
    graph = manifest.graphs["ear"]
    assert {spec.name: spec.shape for spec in graph.inputs} == {
        "samples": ("batch", 64),
        "state_context": ("batch", 16),
        "state_hidden": ("batch", 2, 6),
        "state_cell": ("batch", 2, 6),
    }
    assert {spec.name: spec.shape for spec in graph.outputs} == {
        "embedding": ("batch", 4),
        "next_context": ("batch", 16),
        "next_hidden": ("batch", 2, 6),
        "next_cell": ("batch", 2, 6),
    }
    assert [(s.name, s.input, s.output) for s in manifest.states["ear"]] == [
        (name, f"state_{name}", f"next_{name}") for name in ("context", "hidden", "cell")
    ]
    assert [len(s.init) for s in manifest.states["ear"]] == [1, 1, 12]


def test_walk_and_steps_are_proven(made: Exported) -> None:
    assert made.parity.passed
    points = {(f.point, f.batch) for f in made.parity.findings}
    for name in ("", " context", " hidden", " cell"):
        assert (f"ear/chain{name}", 1) in points
        assert {(f"ear/step{name}", batch) for batch in (1, 2, 5)} <= points


def test_the_proof_walks_200_windows_and_16_travel_with_the_bundle(tmp_path: Path) -> None:
    recipe = hearing(listener())
    draft = Draft(recipe, ExportConfig(out=tmp_path / "m.mmedge"))
    reference, _ = draft.reference(draft.samples()[0])
    (proven,) = draft.chains(reference, shipped=False).values()
    (shipped,) = draft.chains(reference, shipped=True).values()
    assert (len(proven), proven.reset) == (200, 100)
    assert (len(shipped), shipped.reset) == (16, 8)
    spread = np.ptp(proven.states["cell"], axis=0)
    assert spread.min() > 0.01  # what it remembers does change


def test_verify_repeats_the_chain_and_finds_a_changed_one(made: Exported) -> None:
    assert verify(made.bundle).passed
    golden = load_golden(made.bundle)
    golden.chains["ear"].states["hidden"][11, 1, 3] += 0.01
    failed = {f.point for f in verify(made.bundle, golden=golden).findings if not f.passed}
    assert {"ear/chain hidden", "ear/step hidden"} <= failed


def test_along_a_stream_the_predictor_says_what_the_module_says(tmp_path: Path) -> None:
    encoder = listener(context=16)
    made = export_to(tmp_path, hearing(encoder))
    windows = np.random.default_rng(1).uniform(-1, 1, (6, 64)).astype(np.float32)
    with Predictor(made.bundle) as predictor:
        state = predictor.stream("ear")
        told = []
        for number, window in enumerate(windows):
            if number == 4:
                state.reset()
            told.append(predictor.encode("ear", {"samples": window[None]}, state=state)["ear"])
        alone = predictor.encode("ear", {"samples": windows})["ear"]
    # By hand, with the module itself.
    expected = []
    for begin, end in ((0, 4), (4, 6)):
        h, c = torch.full((2, 1, 6), 0.5), torch.tensor(CELL, dtype=torch.float32)[:, None]
        stream = torch.from_numpy(np.concatenate([np.zeros(16, np.float32), *windows[begin:end]]))
        for number in range(end - begin):
            with torch.no_grad():
                came = encoder.module(stream[None, number * 64 : number * 64 + 80], h, c)
            h, c = came["h"], came["c"]
            expected.append(came["told"].numpy())
    np.testing.assert_allclose(np.concatenate(told), np.concatenate(expected), atol=1e-5)
    np.testing.assert_allclose(alone[[0, 4]], np.concatenate(expected)[[0, 4]], atol=1e-5)
    assert abs(alone[1] - expected[1]).max() > 1e-3  # it matters


class Falling(nn.Module):
    """A state of one number a row, and a front-end's output of any shape."""

    def forward(self, x: Any, kept: Any) -> Any:
        level = x.flatten(1).mean(dim=1)
        kept = 0.5 * kept + level
        return torch.stack([level, kept], dim=1), kept


SEES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "signal": (Signal(channels=3, rate_hz=100, window_ms=80, hop_ms=80, mean=(1.0,)), (4, 3)),
    "stereo": (Sound(rate_hz=1000, window_ms=64, hop_ms=64, channels=2), (2, 4)),
    "log-mel": (
        Sound(rate_hz=1000, window_ms=64, hop_ms=64, log_mel=LogMel(mels=4, fft_size=16, hop=16)),
        (4,),
    ),
}


@pytest.mark.parametrize("kind", SEES)
def test_the_context_stands_before_the_window_and_the_front_end_sees_both(
    kind: str, tmp_path: Path
) -> None:
    modality, row = SEES[kind]
    state = (State(name="kept", input="kept", output=1, shape=()),)
    encoder = Encoder(module=Falling(), output=0, state=state, context=4)
    made = export_to(tmp_path, hearing(encoder, modality, width=2))
    assert made.parity.passed
    graph = made.bundle.manifest.graphs["ear"]
    assert {s.name: s.shape for s in graph.inputs[1:]} == {
        "state_context": ("batch", *row),
        "state_kept": ("batch",),
    }
    chain = load_golden(made.bundle).chains["ear"]
    (window,) = chain.inputs.values()
    tail = {"signal": window[:, -4:], "stereo": window[..., -4:], "log-mel": window[..., -4:]}
    np.testing.assert_array_equal(chain.states["context"], tail[kind])


def stateful_file(path: Path) -> OnnxFile:
    """A running sum, twice as large in a row of its own; float64, its batch in the middle."""
    nodes = [
        node("ReduceMean", ["x"], "level", axes=[1], keepdims=1),
        node("Cast", ["level"], "fine", to=TensorProto.DOUBLE),
        node("Mul", ["fine", "rate"], "scaled"),
        node("Unsqueeze", ["scaled", "first"], "row"),
        node("Mul", ["row", "twice"], "double"),
        node("Concat", ["row", "double"], "rows", axis=0),
        node("Add", ["memory", "rows"], "memory_out"),
        node("Gather", ["memory_out", "second"], "picked", axis=0),
        node("Cast", ["picked"], "y", to=TensorProto.FLOAT),
    ]
    drawn(
        path,
        nodes,
        {"x": [1, 64], "memory": [2, 1, 1], "rate": []},
        {"y": [1, 1], "memory_out": [2, 1, 1]},
        {"first": np.int64([0]), "twice": np.float64(2), "second": np.int64(1)},
        kinds=dict.fromkeys(("memory", "memory_out", "rate"), TensorProto.DOUBLE),
    )
    return OnnxFile(path, constants={"rate": 3})


def test_a_file_with_a_fixed_batch_and_another_type_remembers_row_by_row(tmp_path: Path) -> None:
    state = State(name="sum", input="memory", output="memory_out", shape=(2, "batch", 1), init=7)
    encoder = Encoder(module=stateful_file(tmp_path / "a.onnx"), output="y", state=(state,))
    made = export_to(tmp_path, hearing(encoder, width=1))
    assert made.parity.passed
    assert {f.point for f in made.parity.findings} >= {"ear/chain sum", "ear/step sum"}
    with Predictor(made.bundle) as predictor:
        streams = predictor.stream("ear", 2)
        rows = {"samples": np.repeat(np.float32([[1], [2]]), 64, axis=1)}
        for expected in ([[13], [19]], [[19], [31]]):
            came = predictor.encode("ear", rows, state=streams)["ear"]
            np.testing.assert_allclose(came, expected, rtol=1e-6)
        assert streams.arrays["sum"].shape == (2, 2, 1)


def test_one_encoder_with_state_can_be_replaced_and_the_head_beside_it(tmp_path: Path) -> None:
    export_to(tmp_path, hearing(listener()))
    before = contents(tmp_path / "m.mmedge")
    changed = listener()
    with torch.no_grad():
        changed.module.last.bias.add_(1)
    recipe = hearing(changed)
    after = export_to(tmp_path, recipe, only="ear").bundle
    kept = after.manifest.plans["fp32"].graphs["fusion"].name
    assert (after.path / kept).read_bytes() == before[kept]
    ear = after.manifest.plans["fp32"].graphs["ear"].name
    assert ear not in before
    recipe.fusion.linear.bias.data.add_(1)
    again = export_to(tmp_path, recipe, only="fusion").bundle
    assert again.manifest.plans["fp32"].graphs["ear"].name == ear


def test_only_does_not_change_what_is_remembered(tmp_path: Path) -> None:
    export_to(tmp_path, hearing(listener()))
    other = (STATES[0], State(name="cell", input="c", output="c", shape=(2, "batch", 6), init=0.1))
    with pytest.raises(ConfigError, match="'ear' remembers other states than the recipe's"):
        export_to(tmp_path, hearing(listener(state=other)), only="fusion")


class Counting(nn.Module):
    """Remembers in itself, where nobody sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, x: Any) -> Any:
        self.count += 1
        return x[:, :4] + self.count


def test_a_module_that_remembers_in_secret_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="or keeps state between calls"):
        export_to(tmp_path, hearing(Counting()))


BATCH_LAST = State(name="hidden", input="h", output="h", shape=(2, 6, "batch"))
MISFITS: dict[str, tuple[Callable[[], Any], str]] = {
    "hop": (
        lambda: hearing(listener(), Sound(rate_hz=1000, window_ms=64, hop_ms=32)),
        "the encoder of 'ear' has a state, so each sample must be seen once: hop_ms=32 has to be",
    ),
    "picture": (
        lambda: hearing(listener(), Image(height=4, width=4)),
        "has a state, which needs windows that follow one another: a sound or a signal",
    ),
    "text": (
        lambda: hearing(Encoder(module=Flat(), context=3), HINT),
        "Encoder(context=...) is for a sound or a signal",
    ),
    "twice": (lambda: listener(state=(STATES[0], STATES[0])), "each name only once"),
    "context twice": (
        lambda: listener(context=1, state=(State(name="context", input="h", output=0, shape=()),)),
        "each name only once",
    ),
    "negative": (lambda: listener(context=-1), "Encoder(context=-1) must be a number of samples"),
    "name": (lambda: State(name="A b", input="h", output=1, shape=(2,)), "State(name='A b')"),
    "batches": (
        lambda: State(name="h", input="h", output=1, shape=("batch", "batch")),
        "sizes are expected, and 'batch' once at most",
    ),
    "size": (lambda: State(name="h", input="h", output=1, shape=(0,)), "sizes are expected"),
    "init": (
        lambda: State(name="h", input="h", output=1, shape=(2, "batch"), init=np.zeros(3)),
        "has shape (3,); a number or (2,) was expected",
    ),
    "nan": (
        lambda: State(name="h", input="h", output=1, shape=(2,), init=float("nan")),
        "must be finite numbers",
    ),
    "no state": (lambda: listener(state=("hidden",)), "State was expected"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_state_that_cannot_be_meant_is_refused_when_it_is_made(kind: str) -> None:
    make, words = MISFITS[kind]
    with pytest.raises(ConfigError, match=re.escape(words)):
        make()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ((BATCH_LAST, STATES[1]), "encoder 'ear' fails on inputs"),
        (
            (State(name="h", input="h", output="told", shape=(2, "batch", 6)), STATES[1]),
            "gives the state 'h' back as [2, 4], but State(shape=...) says (2, 'batch', 6)",
        ),
        (
            (State(name="h", input="h", output="other", shape=(2, "batch", 6)), STATES[1]),
            "State(..., output=...) 'other' is not there. Name one of these.",
        ),
        (
            (State(name="h", input="x", output="h", shape=(2, "batch", 6)), STATES[1]),
            "encoder 'ear' fails on inputs",
        ),
    ],
)
def test_a_state_that_is_not_the_modules_is_refused_before_anything_is_written(
    state: tuple[State, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(MmedgeError, match=re.escape(words)):
        export_to(tmp_path, hearing(listener(state=state)))
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_a_file_does_not_have_is_refused(tmp_path: Path) -> None:
    path = scripted(tmp_path / "a.onnx", Flat(64), torch.zeros(1, 64))
    state = State(name="h", input="memory", output="y", shape=(4,))
    with pytest.raises(ConfigError, match="takes x0, and the modality feeds 1"):
        export_to(tmp_path, hearing(Encoder(module=OnnxFile(path), state=(state,))))
