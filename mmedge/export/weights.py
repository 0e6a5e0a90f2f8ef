"""Trained weights: read without running code from the file, and fitted to the model."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError
from mmedge.export.imported.file import OnnxFile

__all__ = ["check_finite", "digest_weights", "load_weights", "read_checkpoint", "refuse_lazy"]

_log = logging.getLogger(__name__)

PREFIXES = ("module.", "model.", "_orig_mod.")
"""What DataParallel, trainers and torch.compile put before every key."""
STATE_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "weights", "ema")
"""Where trainers keep the state dict inside their checkpoint."""


def load_weights(model: nn.Module, path: Path) -> list[str]:
    """Load a checkpoint into a model, every key accounted for.

    Args:
        model: what the file's keys belong to.
        path: ``.safetensors``, or a torch checkpoint that ``weights_only=True`` reads.

    Returns:
        Sentences about what was done to make it fit, for the user to read.

    Raises:
        ConfigError: there is no such file.
        ArtefactError: unreadable, unsafe, or the weights of another model.
    """
    state, found = read_checkpoint(path)
    state, stripped = _strip(state, model)
    _check_fit(model, state, path)
    model.load_state_dict(state, strict=False)  # what may be missing was checked above
    notes = [f"{path.name}: {note}" for note in (*found, *stripped)]
    for note in notes:
        _log.info("%s", note)
    return notes


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read a state dict from a file without running code from it.

    Returns:
        the state dict, and sentences about where it stood in the file.
    """
    if not path.is_file():
        raise ConfigError(f"there is no weights file {path}")
    if path.stat().st_size == 0:
        raise ArtefactError(f"{path} is empty; was the training's save interrupted?")
    if path.suffix == ".safetensors":
        return _read_safetensors(path), []
    return _find_state(_read_torch(path), path)


def check_finite(model: nn.Module) -> None:
    """Refuse parameters that are NaN or infinite, and buffers that are NaN.

    A buffer may hold an infinity on purpose: a causal mask does.
    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        wrong = torch.isnan(tensor)
        if isinstance(tensor, nn.Parameter):
            wrong |= torch.isinf(tensor)
        if bool(wrong.any()):
            raise ArtefactError(
                f"weight {name.removeprefix('part_')!r} has {int(wrong.sum())} of "
                f"{tensor.numel()} values that are NaN or infinite: the training diverged. "
                "Take an earlier checkpoint."
            )


def refuse_lazy(model: nn.Module) -> None:
    """Refuse modules whose shapes are not known before their first run."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise ConfigError(
                f"weight {name.removeprefix('part_')!r} has no shape yet (a Lazy module): run one "
                "batch through the model in the recipe before it is returned"
            )


def digest_weights(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters and buffers.

    An encoder that is an ONNX file counts by the hash of the file.
    """
    digest = hashlib.sha256()
    for name, module in model.named_modules():
        if isinstance(module, OnnxFile):
            digest.update(f"{name}\0onnx\0{module.digest}\0".encode())
    tensors = {n: t for n, t in model.state_dict().items() if isinstance(t, Tensor)}
    for name, tensor in sorted(tensors.items()):
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\0{flat.dtype}\0{tuple(flat.shape)}\0".encode())
        digest.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    safetensors = require("safetensors.torch", extra="export", why="a .safetensors checkpoint")
    try:
        state: dict[str, Tensor] = safetensors.load_file(path)
    except Exception as exc:  # its error type lives in a compiled module and moved before
        raise ArtefactError(
            f"{path} is not a readable safetensors file ({exc}). Was it copied whole?"
        ) from exc
    return state


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the file's own pickle protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # a file from anywhere: its unpickler fails in any way
        strange = re.search(r"unsupported global:? (?:global )?([\w.]+)", str(exc), re.IGNORECASE)
        if strange:
            problem = (
                f"holds Python objects ({strange[1]}), not only tensors, and loading those could "
                "run code. Where you trust the file"
            )
        else:
            problem = (
                "is not a readable torch checkpoint: it is damaged, or a pickle of something "
                "else, and loading that could run code. Was it copied whole? If you trust it"
            )
        raise ArtefactError(
            f"{path} {problem}, save the tensors alone: "
            "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
        ) from exc


def _find_state(loaded: Any, path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Find the state dict inside what a trainer saved around it."""
    if isinstance(loaded, Mapping):
        inner = [key for key in STATE_KEYS if isinstance(loaded.get(key), Mapping)]
        if inner:
            state, notes = _find_state(loaded[inner[0]], path)
            others = f", not under {inner[1:]}" if inner[1:] else ""
            return state, [f"the weights stand under {inner[0]!r}{others}", *notes]
        state = {key: value for key, value in loaded.items() if isinstance(value, Tensor)}
        rest = [key for key in loaded if key not in state]
        if state and not any(isinstance(loaded[key], (Mapping, list, tuple)) for key in rest):
            return state, [f"left out {rest}, which are no tensors"] if rest else []
    came = (
        f"a mapping with the keys {sorted(map(str, loaded))[:8]}"
        if isinstance(loaded, Mapping)
        else f"a {type(loaded).__name__}"
    )
    raise ArtefactError(
        f"{path} holds {came}; a state dict was expected, alone or under one of {STATE_KEYS}. "
        "Save model.state_dict()."
    )


def _strip(state: dict[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Remove wrappers' prefixes, only if every key fits afterwards."""
    stripped, removed = state, ""
    while any(_misfits(model, stripped)):
        prefix = next((p for p in PREFIXES if all(k.startswith(p) for k in stripped)), None)
        if not prefix or not stripped:
            return state, []
        stripped = {key[len(prefix) :]: value for key, value in stripped.items()}
        removed += prefix
    return stripped, [f"removed the prefix {removed!r} from every key"] if removed else []


def _misfits(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
    """Keys that the state lacks, and keys that the model lacks.

    A weight that the model uses under two names may stand in the file under one of them
    (safetensors saves it once), and the counter of a batch normalisation says nothing.
    """
    expected = model.state_dict()
    covered = {_place(expected[key]) for key in state if key in expected}
    missing = [
        key
        for key, tensor in expected.items()
        if key not in state
        and _place(tensor) not in covered
        and not key.endswith("num_batches_tracked")
    ]
    return sorted(missing), sorted(set(state) - set(expected))


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor's numbers stand in memory; an empty one stands nowhere."""
    return (tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride())


def _check_fit(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    missing, strange = _misfits(model, state)
    if missing or strange:
        raise ArtefactError(
            f"{path} belongs to another model than the recipe's: of {len(expected)} weights "
            f"{_some(missing)} missing, and {_some(strange)} unknown. Does the recipe build the "
            "model that was trained?"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape:
            raise ArtefactError(
                f"{path}: weight {name!r} has shape {tuple(tensor.shape)}, the recipe's model "
                f"expects {tuple(expected[name].shape)}. Does the recipe use the training's sizes?"
            )


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > 1 else ""
    return f"{len(names)} ({names[0]!r}{more}) are" if names else "none is"
