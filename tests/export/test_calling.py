"""How users' modules are called, and what is refused of them before any export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from mmedge.errors import ArtefactError, ConfigError, ProofError  # noqa: E402
from mmedge.export import Encoder, load_recipe  # noqa: E402
from mmedge.export.calling import describe_positions, head_call, text_call  # noqa: E402
from mmedge.export.reference import call  # noqa: E402
from mmedge.export.weights import check_finite, digest_weights, refuse_lazy  # noqa: E402
from tests.export.recipes import Flat, one_picture  # noqa: E402

pytestmark = pytest.mark.torch

IDS, MASK = torch.tensor([[1, 2]]), torch.tensor([[1, 0]])


class Ids(nn.Module):
    def forward(self, ids: Tensor) -> Any:
        return ids, None


class Both(nn.Module):
    def forward(self, ids: Tensor, mask: Tensor) -> Any:
        return ids, mask


class Optional(nn.Module):
    def forward(self, ids: Any = None, token_types: Any = None, attention_mask: Any = None) -> Any:
        assert token_types is None
        return ids, attention_mask


class Types(nn.Module):
    def forward(self, input_ids: Any, token_type_ids: Any, attention_mask: Any = None) -> Any: ...


class Ratio(nn.Module):
    def forward(self, ids: Any, mask_ratio: float = 0.0, attention_mask: Any = None) -> Any:
        return ids, attention_mask


class Second(nn.Module):
    def forward(self, tokens: Any, valid: Any) -> Any:
        return tokens, valid


class Padding(nn.Module):
    def forward(self, ids: Any, padding_mask: Any = None) -> Any: ...


class Named(nn.Module):
    def forward(self, *, ids: Any, mask: Any) -> Any: ...


@pytest.mark.parametrize(
    ("module", "masked", "note"),
    [
        (Ids(), False, "text takes no mask: it reads the padding as text"),
        (Both(), True, ""),
        (Optional(), True, ""),
        (Ratio(), True, ""),
        (Second(), True, "text gets the mask as 'valid': 1 where a token stands"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_the_mask_reaches_the_parameter_that_is_named_for_it(
    module: nn.Module, masked: bool, note: str
) -> None:
    how = text_call("text", module)
    ids, mask = how(module, IDS, MASK)
    assert ids is IDS
    assert (mask is MASK) == masked
    assert how.note == note


def test_a_mask_never_goes_to_another_parameter() -> None:
    assert text_call("text", Types()).mask == "attention_mask"


@pytest.mark.parametrize(
    ("module", "words"),
    [(Padding(), "in torch means True at padding"), (Named(), "by keyword only")],
)
def test_a_text_encoder_that_means_something_else_is_refused(module: nn.Module, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        text_call("text", module)


class Keywords(nn.Module):
    def forward(self, mic: Any, camera: Any, presence: Any) -> Any: ...


class Mapped(nn.Module):
    def forward(self, inputs: Mapping[str, Tensor], presence: Any) -> Any: ...


class Listed(nn.Module):
    def forward(self, features: list[Tensor]) -> Any: ...


class Starred(nn.Module):
    def forward(self, first: Any, *rest: Any) -> Any: ...


class Placed(nn.Module):
    def forward(self, audio: Any, vision: Any) -> Any: ...


class Three(nn.Module):
    def forward(self, a: Any, b: Any, c: Any) -> Any: ...


@pytest.mark.parametrize(
    ("head", "way"),
    [
        (Keywords(), "keywords"),
        (Mapped(), "mapping"),
        (Listed(), "sequence"),
        (Starred(), "positional"),
        (Placed(), "positional"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_head_is_called_as_its_signature_asks(head: nn.Module, way: str) -> None:
    assert head_call(head, ["camera", "mic"]) == way


def test_a_head_that_fits_no_way_is_refused_with_the_ways() -> None:
    with pytest.raises(ConfigError, match=r"takes \(a, b, c\), but the encoders give camera, mic"):
        head_call(Three(), ["camera", "mic"])


class Swapped(nn.Module):
    def forward(self, mic: Any, vision: Any) -> Any: ...


def test_a_parameter_named_after_one_modality_is_never_handed_another() -> None:
    with pytest.raises(ConfigError, match="by position 'mic' would get 'camera'"):
        head_call(Swapped(), ["camera", "mic"])


def test_an_order_that_no_name_confirms_is_said() -> None:
    said = describe_positions(Placed(), ["camera", "mic"])
    assert said == "the fusion head takes its inputs by position: audio=camera, vision=mic"


class Coupled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=0)


class Summed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(dim=0)


@pytest.mark.parametrize("module", [Coupled(), Summed()])
def test_a_model_that_mixes_the_rows_of_a_batch_is_refused(module: nn.Module) -> None:
    with pytest.raises(ProofError, match="differently alone than in a batch"):
        call("encoder 'camera'", module, [torch.randn(3, 4)])


def test_an_infinite_mask_in_a_buffer_is_no_broken_weight_but_nan_is() -> None:
    module = nn.Linear(2, 2)
    module.register_buffer("causal", torch.tensor([[0.0, -torch.inf], [0.0, 0.0]]))
    check_finite(module)
    module.register_buffer("scale", torch.tensor([1.0, torch.nan]))
    with pytest.raises(ArtefactError, match="weight 'scale' has 1 of 2 values"):
        check_finite(module)


def test_a_lazy_module_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match="'weight' has no shape yet"):
        refuse_lazy(nn.LazyLinear(3))


def test_the_weights_hash_covers_front_ends_too() -> None:
    def digest(value: float) -> str:
        front_end = nn.Linear(2, 2)
        nn.init.constant_(front_end.weight, value)
        encoder = Encoder(module=Flat(), front_end=front_end)
        torch.nn.init.zeros_(front_end.bias)
        for parameter in encoder.module.parameters():
            nn.init.constant_(parameter, 0.5)
        recipe = one_picture(encoders={"camera": encoder})
        for parameter in recipe.head.module.parameters():
            nn.init.constant_(parameter, 0.5)
        return digest_weights(recipe.networks())

    assert digest(1.0) == digest(1.0) != digest(2.0)


def test_a_recipe_may_import_its_neighbours_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "neighbour_of_a_recipe.py").write_text("NAME = 'near'\n")
    (tmp_path / "package_beside").mkdir()
    (tmp_path / "package_beside" / "base.py").write_text("WHERE = 'here'\n")
    (tmp_path / "train" / "model.py").write_text(
        "from package_beside.base import WHERE\n"
        "def recipe():\n"
        "    from neighbour_of_a_recipe import NAME\n"
        "    raise ValueError(NAME + WHERE)\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"failed: ValueError: nearhere \(model\.py, line 4\)"):
        load_recipe("train/model.py:recipe")
