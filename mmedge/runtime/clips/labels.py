"""Labels: what the right answer to a task is, as people write it, turned into numbers.

| task | label | becomes |
|---|---|---|
| classification | the label: ``"cat"`` | int64 ``[]``, its number |
| multi-label | a list of labels, possibly empty: ``["cat", "dog"]`` | bool ``[K]`` |
| matching | ``true`` or ``false`` | bool ``[]`` |
| regression | a number, or an object of one for each name: ``{"width": 1.5}`` | float64 ``[K]`` |
| raw | nested lists of the task's shape, or the path of an NPY file | float32 ``[*shape]`` |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task

__all__ = ["read_label"]

Truth = NDArray[np.generic]


def read_label(name: str, task: Task, label: Any) -> Truth:
    """Turn a label into numbers, as the table above says.

    Args:
        name: of the task, for messages.
        task: what it may be.
        label: as written.

    Raises:
        ConfigError: it is not what the task takes.
    """
    if isinstance(task, Classification):
        return np.array(_index(name, task, label))
    if isinstance(task, MultiLabel):
        return _several(name, task, label)
    if isinstance(task, Matching):
        if not isinstance(label, (bool, np.bool_)):
            raise _refusal(name, label, "true or false")
        return np.array(label)
    if isinstance(task, Regression):
        return _quantities(name, task, label)
    return _tensor(name, task, label)


def _index(name: str, task: Classification | MultiLabel, label: Any) -> int:
    if not isinstance(label, str) or label not in task.labels:
        raise ConfigError(
            f"label {label!r} of task {name!r} is none of {', '.join(task.labels[:20])}"
        )
    return task.labels.index(label)


def _several(name: str, task: MultiLabel, label: Any) -> Truth:
    if not isinstance(label, (list, tuple)):
        raise _refusal(name, label, "a list of labels, empty where none holds")
    holds = np.zeros(task.shape, dtype=bool)
    holds[[_index(name, task, each) for each in label]] = True
    if holds.sum() < len(label):
        raise _refusal(name, label, "each label once")
    return holds


def _quantities(name: str, task: Regression, label: Any) -> Truth:
    if isinstance(label, Mapping):
        if set(label) != set(task.names):
            raise _refusal(name, label, f"a number for each of {', '.join(task.names)}")
        numbers = [label[each] for each in task.names]
    elif len(task.names) == 1:
        numbers = [label]
    else:
        raise _refusal(name, label, f"an object with a number for each of {', '.join(task.names)}")
    if not all(_is_number(each) for each in numbers):
        raise _refusal(name, label, "numbers that are finite")
    return np.array(numbers, dtype=np.float64)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON has whole numbers of any length
        return False


def _tensor(name: str, task: Raw, label: Any) -> Truth:
    if isinstance(label, (str, Path)):
        label = _load(name, Path(label))
    try:
        array = np.asarray(label)
    except ValueError as exc:  # lists of unequal lengths
        raise _refusal(name, label, f"numbers of shape {task.shape}") from exc
    if array.shape != task.shape or array.dtype.kind not in "fiub":
        came = f"{array.dtype} of shape {array.shape}"
        raise ConfigError(
            f"the label of task {name!r} is {came}; numbers of shape {task.shape} were expected"
        )
    with np.errstate(over="ignore"):  # what does not fit becomes infinity
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ConfigError(f"the label of task {name!r} holds NaN or infinity; give finite numbers")
    return numbers


def _load(name: str, path: Path) -> Truth:
    try:
        # Mapped, so that a header that promises more than the file holds takes no memory.
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as exc:
        raise ConfigError(
            f"the label of task {name!r}: '{path}' is no readable NPY file ({exc}); save it again"
        ) from exc
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise ConfigError(f"the label of task {name!r}: '{path}' is an archive; give an NPY file")
    return loaded


def _refusal(name: str, label: Any, expected: str) -> ConfigError:
    return ConfigError(f"label {str(label)[:80]!r} of task {name!r} cannot be; give {expected}")
