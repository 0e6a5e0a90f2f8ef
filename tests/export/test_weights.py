"""Trained weights: every form that trainers save, and every file that is not to be trusted."""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - to write what mmedge must not read
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
save_file = pytest.importorskip("safetensors.torch").save_file

from torch import nn  # noqa: E402

from mmedge.errors import ArtefactError, ConfigError  # noqa: E402
from mmedge.export.weights import load_weights  # noqa: E402

pytestmark = pytest.mark.torch


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)


STATE = {
    "inner.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "inner.bias": torch.tensor([5.0, 6.0]),
    "norm.weight": torch.tensor([7.0, 8.0]),
    "norm.bias": torch.tensor([9.0, 10.0]),
    "norm.running_mean": torch.tensor([11.0, 12.0]),
    "norm.running_var": torch.tensor([13.0, 14.0]),
    "norm.num_batches_tracked": torch.tensor(15),
}


def loaded(path: Path) -> tuple[dict[str, Any], list[str]]:
    net = Net()
    notes = load_weights(net, path)
    return net.state_dict(), notes


def same(came: dict[str, Any]) -> bool:
    return set(came) == set(STATE) and all(torch.equal(came[key], STATE[key]) for key in STATE)


def prefixed(prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in STATE.items()}


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    came, notes = loaded(tmp_path / "w.safetensors")
    assert same(came)
    assert notes == []


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.ckpt", "w.bin"])
def test_a_torch_file(tmp_path: Path, name: str, zipped: bool) -> None:
    state = OrderedDict(STATE)
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=zipped)
    came, notes = loaded(tmp_path / name)
    assert same(came)
    assert notes == []


@pytest.mark.parametrize(
    ("checkpoint", "note"),
    [
        ({"state_dict": STATE, "epoch": 3}, "the weights stand under 'state_dict'"),
        (
            {"epoch": 3, "model_state_dict": STATE, "optimizer_state_dict": {"state": {}}},
            "the weights stand under 'model_state_dict'",
        ),
        (
            {"model": STATE, "best": torch.tensor(0.5), "history": [1, 2]},
            "the weights stand under 'model'",
        ),
        ({"net": {"state_dict": STATE}}, "the weights stand under 'net'"),
        (
            {"model": STATE, "ema": prefixed("x")},
            "the weights stand under 'model', not under ['ema']",
        ),
        ({"module": STATE}, "the weights stand under 'module'"),
        ({"weights": STATE}, "the weights stand under 'weights'"),
        ({**STATE, "epoch": 3, "name": "best"}, "left out ['epoch', 'name'], which are no tensors"),
    ],
)
def test_a_state_dict_inside_a_trainer_s_checkpoint(
    tmp_path: Path, checkpoint: dict[str, Any], note: str
) -> None:
    torch.save(checkpoint, tmp_path / "w.pt")
    came, notes = loaded(tmp_path / "w.pt")
    assert same(came)
    assert notes[0] == f"w.pt: {note}"


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.model."]
)
def test_a_wrapper_s_prefix_is_removed_and_that_is_said(tmp_path: Path, prefix: str) -> None:
    torch.save({"state_dict": prefixed(prefix)}, tmp_path / "w.pt")
    came, notes = loaded(tmp_path / "w.pt")
    assert same(came)
    assert notes[1] == f"w.pt: removed the prefix {prefix!r} from every key"


def test_a_prefix_that_is_the_model_s_own_stays(tmp_path: Path) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(1, 1, bias=False)

    torch.save({"model.weight": torch.tensor([[3.0]])}, tmp_path / "w.pt")
    net = Wrapped()
    assert load_weights(net, tmp_path / "w.pt") == []
    assert net.model.weight.item() == 3.0


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {k: v for k, v in STATE.items() if k != "inner.bias"},
            "of 7 weights 1 ('inner.bias') are missing, and none is",
        ),
        ({**STATE, "extra": torch.ones(1)}, "none is missing, and 1 ('extra') are unknown"),
        (
            {**prefixed("module."), "extra": torch.ones(1)},
            "6 ('inner.bias', ...) are missing, and 8 ('extra', ...) are unknown",
        ),
        (
            {**prefixed("module."), "module.extra": torch.ones(1)},
            "are missing, and 8 ('module.extra', ...) are unknown",
        ),
        (prefixed("student."), "and 7 ('student.inner.bias', ...) are unknown"),
        (
            {**STATE, "inner.bias": torch.ones(3)},
            "weight 'inner.bias' has shape (3,), the recipe's model expects (2,)",
        ),
    ],
)
def test_another_model_s_weights_are_refused(
    tmp_path: Path, state: dict[str, Any], message: str
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    net = Net()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ArtefactError, match=re.escape(message)):
        load_weights(net, tmp_path / "w.safetensors")
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_the_counter_of_a_batch_normalisation_may_be_missing(tmp_path: Path) -> None:
    save_file(
        {k: v for k, v in STATE.items() if "num_batches" not in k}, tmp_path / "w.safetensors"
    )
    came, _ = loaded(tmp_path / "w.safetensors")
    assert torch.equal(came["norm.running_mean"], STATE["norm.running_mean"])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2, bias=False)
        self.second = nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight


@pytest.mark.parametrize("key", ["first.weight", "second.weight"])
def test_a_shared_weight_may_stand_in_the_file_once(tmp_path: Path, key: str) -> None:
    save_file({f"module.{key}": torch.eye(2) * 3}, tmp_path / "w.safetensors")
    net = Tied()
    load_weights(net, tmp_path / "w.safetensors")
    assert net.first.weight.tolist() == net.second.weight.tolist() == [[3.0, 0.0], [0.0, 3.0]]
    untied = Tied()
    untied.second.weight = nn.Parameter(torch.zeros(2, 2))
    with pytest.raises(ArtefactError, match=r"of 2 weights 2 .* are missing, and 1 "):
        load_weights(untied, tmp_path / "w.safetensors")


def test_half_precision_weights_are_read_into_float32(tmp_path: Path) -> None:
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in STATE.items()},
        tmp_path / "w.safetensors",
    )
    came, _ = loaded(tmp_path / "w.safetensors")
    assert same(came)
    assert came["inner.weight"].dtype == torch.float32


class Evil:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def pickled(folder: Path, how: str) -> Path:
    evil, path = {"state_dict": STATE, "x": Evil(folder / "ran")}, folder / "evil.pt"
    if how.startswith("plain"):
        path.write_bytes(pickle.dumps({"x": Evil(folder / "ran")}, protocol=int(how[-1])))
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "zip")
    return path


@pytest.mark.parametrize("how", ["zip", "legacy", "plain 2", "plain 4"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, how: str) -> None:
    path = pickled(tmp_path, how)
    with pytest.raises(
        ArtefactError, match=r"save the tensors alone: safetensors.torch.save_file"
    ) as caught:
        load_weights(Net(), path)
    assert not (tmp_path / "ran").exists()
    if how == "plain 4":  # torch does not get as far as the name in it
        assert "or a pickle of something else, and loading that could run code" in str(caught.value)
    else:
        assert f"holds Python objects ({os.mkdir.__module__}.mkdir)" in str(caught.value)
    pickle.loads(pickle.dumps(Evil(tmp_path / "ran")))  # noqa: S301 - it would have
    assert (tmp_path / "ran").exists()


def test_a_pickled_module_is_refused_with_a_remedy(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(
        ArtefactError, match=r"holds Python objects \(torch.nn.modules.linear.Linear\)"
    ):
        load_weights(Net(), tmp_path / "w.pt")


def damaged(folder: Path, how: str) -> Path:
    good = folder / "good"
    if how.endswith(".safetensors"):
        save_file(STATE, good)
    else:
        torch.save(STATE, good, _use_new_zipfile_serialization="legacy" not in how)
    data = good.read_bytes()
    half, most = data[: len(data) // 2], data[:-9]
    changed = {
        "empty": b"",
        "half": half,
        "most": most,
        "text": b"hello\n" * 50,
        "zeros": bytes(999),
    }
    path = folder / how
    path.write_bytes(changed[how.partition(".")[0]])
    return path


@pytest.mark.parametrize("suffix", ["pt", "legacy.pt", "safetensors"])
@pytest.mark.parametrize("how", ["empty", "half", "most", "text", "zeros"])
def test_a_damaged_file_is_refused(tmp_path: Path, how: str, suffix: str) -> None:
    path = damaged(tmp_path, f"{how}.{suffix}")
    with pytest.raises(ArtefactError, match=r"is empty|is not a readable") as caught:
        load_weights(Net(), path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "came"),
    [
        ([torch.ones(2)], "holds a list; a state dict was expected"),
        (torch.ones(2), "holds a Tensor; a state dict"),
        ({"epoch": 3}, "holds a mapping with the keys ['epoch']; a state dict"),
        ({}, "holds a mapping with the keys []; a state dict"),
        (
            {"optimizer": {"state": {}}, "loss": torch.tensor(1.0)},
            "holds a mapping with the keys ['loss', 'optimizer']",
        ),
        ({"state_dict": {}}, "holds a mapping with the keys []"),
    ],
)
def test_a_file_without_a_state_dict_says_what_it_holds(
    tmp_path: Path, content: Any, came: str
) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ArtefactError, match=re.escape(came)):
        load_weights(Net(), tmp_path / "w.pt")


def test_a_missing_file_is_a_mistake_in_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no weights file .*absent\.pt"):
        load_weights(Net(), tmp_path / "absent.pt")
