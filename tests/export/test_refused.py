"""Models that must not become a bundle: each says why, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from mmedge.errors import ConfigError, IncompatibleError, MmedgeError, ProofError  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    Flat,
    Head,
    contents,
    export_to,
    listing,
    one_picture,
)

pytestmark = pytest.mark.torch


class Around(nn.Module):
    """An encoder whose inner module ``middle`` does something to the embedding."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.flat = Flat()
        self.middle = middle
        self.last = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.last(self.middle(self.flat(x)))


class Forced(nn.Dropout):
    def forward(self, x: Any) -> Any:
        return functional.dropout(x, 0.5, training=True)


class Sampling(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + torch.randn_like(x) * 0.1


class Stubborn(nn.Dropout):
    """Stays in training mode whatever it is told."""

    def train(self, mode: bool = True) -> Any:
        return super().train(True)


class Fourier(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.fft.rfft(x, n=6).abs()


class ShortTime(nn.Module):
    def forward(self, x: Any) -> Any:
        window = torch.ones(4)
        return (
            torch.stft(x, 4, window=window, return_complex=True, center=False)
            .abs()
            .repeat(1, 2, 1)[:, :4, 0]
        )


class Inverse(nn.Module):
    def forward(self, x: Any) -> Any:
        square = x.view(-1, 2, 2) + torch.eye(2) * 9
        return torch.linalg.inv(square).flatten(1)


class Branches(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2 if x.abs().sum() >= 0 else x * 3  # always the first: no row mixes


class ReadsAValue(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + float(x.sum() * 0)


class FixesTheBatch(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.view(2, -1)


class FixesTheTracedBatch(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.view(2, -1) if torch.compiler.is_exporting() else x


class Mixes(nn.Module):
    """Every row depends on its neighbours in the batch."""

    def forward(self, x: Any) -> Any:
        return x - x.mean(dim=0, keepdim=True)


class Lies(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 1.01 if torch.compiler.is_exporting() else x


class Unbounded(nn.Module):
    def forward(self, x: Any) -> Any:
        return x / 0.0


class DrawsBefore(nn.Module):
    """Draws in its own forward pass, and then calls a layer that is innocent."""

    def __init__(self) -> None:
        super().__init__()
        self.innocent = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.innocent(x + torch.rand_like(x))


class Bessel(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.special.bessel_j0(x)


class Forgets(nn.Module):
    def forward(self, x: Any) -> Any:
        return self.never_made(x)


RANDOM = "gives another answer each time for the same input: its module 'encoder.middle' is random"
MIDDLE = "encoder 'camera' cannot become an ONNX graph: module 'encoder.middle'"
REFUSED: Mapping[str, tuple[type[nn.Module], type[MmedgeError], str]] = {
    "live dropout": (Forced, ProofError, RANDOM),
    "dropout that stays in training": (Stubborn, ProofError, RANDOM),
    "sampling": (Sampling, ProofError, RANDOM),
    "sampling before a layer": (DrawsBefore, ProofError, RANDOM),
    "fft": (Fourier, IncompatibleError, "module 'encoder.middle' needs the operator DFT, which"),
    "stft": (ShortTime, IncompatibleError, "module 'encoder.middle' needs the operator STFT"),
    "inverse": (Inverse, IncompatibleError, f"{MIDDLE} needs aten.linalg_inv_ex, which has no"),
    "bessel": (Bessel, IncompatibleError, "its forward pass needs prims.bessel_j0, which has no"),
    "missing attribute": (
        Forgets,
        ConfigError,
        "object has no attribute 'never_made' (module 'encoder.middle'; test_refused.py, line ",
    ),
    "branch": (Branches, IncompatibleError, f"{MIDDLE}: GuardOnDataDependentSymNode"),
    "value": (ReadsAValue, IncompatibleError, f"{MIDDLE}: "),
    "fixed batch": (FixesTheBatch, ConfigError, "'camera' fails on inputs of shape float32(1, 3"),
    "batch fixed by tracing": (
        FixesTheTracedBatch,
        IncompatibleError,
        "encoder 'camera': tensor 'frames' came out with shape [2, 4, 4, 3]: the batch (axis 0)",
    ),
    "rows that mix": (Mixes, ProofError, "'camera' answers a sample differently alone than in a"),
    "another number": (Lies, ProofError, "parity failed at camera/embedding: sample"),
    "infinity": (Unbounded, ProofError, "gives NaN, first in its module 'encoder.last'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_and_nothing_is_written(tmp_path: Path, kind: str) -> None:
    middle, error, message = REFUSED[kind]
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(error, match=re.escape(message)) as caught:
        export_to(tmp_path, one_picture(Around(middle())))
    assert "'camera'" in str(caught.value) or "camera/" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert listing(tmp_path) == {"mine.txt": 4}


def test_other_numbers_name_graph_module_sample_and_error(tmp_path: Path) -> None:
    with pytest.raises(ProofError) as caught:
        export_to(tmp_path, one_picture(Around(Lies())))
    assert re.fullmatch(
        r"parity failed at camera/embedding: sample [01], batch 1, largest error \d\.?\d*e?-?\d*, "
        r"[\d.e+]+ times what is allowed\. Nothing was written\. The first module that differs is "
        r"'encoder\.middle' \(error [\d.e-]+ at sample [01]\): its ONNX form, or that of what "
        r"leads to it, computes something else than torch\. Write it with other operations\.",
        str(caught.value),
    )


class LyingHead(Head):
    def forward(self, inputs: Mapping[str, Any], presence: Any) -> Any:
        return super().forward(inputs, presence) * (1.01 if torch.compiler.is_exporting() else 1.0)


def test_a_head_that_differs_outside_of_its_modules_says_so(tmp_path: Path) -> None:
    message = r"parity failed at fusion/answer with camera present: .* that differs is 'head' \("
    with pytest.raises(ProofError, match=message):
        export_to(tmp_path, one_picture(head=LyingHead()))
    assert listing(tmp_path) == {}


class EmptyMean(nn.Module):
    """The mean over what is present: nothing by nothing where nothing is."""

    def forward(self, camera: Any, presence: Any) -> Any:
        count = presence.float().sum(dim=1, keepdim=True)
        return (camera * presence.float() / count)[:, :2]


def test_a_head_that_has_no_answer_to_nothing_is_refused(tmp_path: Path) -> None:
    message = "with nothing present the fusion head gives NaN, first in its module 'head'"
    with pytest.raises(ProofError, match=message):
        export_to(tmp_path, one_picture(head=EmptyMean()))
    assert listing(tmp_path) == {}


def test_torch_says_nothing_while_it_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(IncompatibleError):
        export_to(tmp_path, one_picture(Around(Branches())))
    assert capfd.readouterr() == ("", "")


def test_a_random_head_is_named(tmp_path: Path) -> None:
    head = Head()
    head.linear = nn.Sequential(nn.Linear(5, 2), Forced())
    with pytest.raises(ProofError, match=r"the fusion head gives another .* 'head\.linear\.1' is"):
        export_to(tmp_path, one_picture(head=head))


@pytest.mark.parametrize(
    "middle", [Lies, FixesTheTracedBatch, Forced], ids=["proof", "graph", "random"]
)
def test_a_failed_export_leaves_the_old_bundle_as_it_was(
    tmp_path: Path, middle: type[nn.Module], good: Path
) -> None:
    bundle = tmp_path / "m.mmedge"
    _copy(good, bundle)
    before = contents(tmp_path)
    with pytest.raises((ProofError, IncompatibleError)):
        export_to(tmp_path, one_picture(Around(middle())), replace=True)
    assert contents(tmp_path) == before


def test_an_existing_bundle_is_only_replaced_when_that_is_asked_for(
    tmp_path: Path, good: Path
) -> None:
    bundle = tmp_path / "m.mmedge"
    _copy(good, bundle)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match="exists already; add --force to replace it"):
        export_to(tmp_path, one_picture(Flat()))
    assert contents(tmp_path) == before
    torch.manual_seed(5)
    made = export_to(tmp_path, one_picture(Around(nn.Identity())), replace=True)
    names = {ref.name for ref in made.bundle.manifest.files}
    assert set(contents(bundle)) - {".lock"} == names | {"manifest.json"}
    assert names.isdisjoint(name.rpartition("/")[2] for name in before if "camera" in name)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    path = export_to(folder, one_picture()).bundle.path
    assert path is not None
    return path


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
