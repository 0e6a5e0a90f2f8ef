"""The fusion head that becomes a graph: the user's module, with presence.

It is the reference of the parity proof as well: what is exported is what is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.export.calling import (
    HeadCall,
    call_head,
    describe_positions,
    head_call,
    takes_presence,
)
from mmedge.export.recipe import Fusion
from mmedge.export.returned import named, shape_of
from mmedge.manifest import PRESENCE
from mmedge.specs import Raw, Regression, Task

__all__ = ["FusionGraph"]


class FusionGraph(nn.Module):
    """Embeddings and presence -> one output per task.

    Whatever stands in an absent slot is replaced before the head sees it, by zeros for a
    head that knows presence and else by the modality's default embedding; a ``Where`` does
    it, since NaN times zero is NaN.
    """

    def __init__(
        self,
        head: Fusion,
        inputs: Mapping[str, int],
        tasks: Mapping[str, Task],
        defaults: Mapping[str, Tensor],
    ) -> None:
        """Wrap a head.

        Args:
            head: the recipe's.
            inputs: name of each tensor input -> column of its modality in presence.
            tasks: name -> what the head answers.
            defaults: input -> what an absent slot holds, ``[D]`` or ``[T, D]``; an input
                that is not named gets zeros.
        """
        super().__init__()
        self.head = head.module
        self._inputs = dict(inputs)
        self._tasks = dict(tasks)
        self._knows_presence = takes_presence(head.module)
        self._call = head.call or head_call(head.module, list(inputs))
        for name, value in defaults.items():
            self.register_buffer(f"absent_{name}", value.detach().clone().float())

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of the outputs."""
        return tuple(self._tasks)

    @property
    def way(self) -> HeadCall:
        """How the head is called."""
        return self._call

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should check: the order, where names say nothing."""
        if self._call != "positional" or len(self._inputs) == 1:
            return ()
        return (describe_positions(self.head, list(self._inputs)),)

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Give the tasks' outputs in order, for the inputs in order and presence last."""
        presence = values[-1]
        inputs = {
            name: self._fill(name, value, presence[:, column])
            for (name, column), value in zip(self._inputs.items(), values[:-1], strict=True)
        }
        extra = {PRESENCE: presence} if self._knows_presence else {}
        returned = call_head(self.head, self._call, inputs, extra)
        return _by_task(returned, self._tasks)

    def _fill(self, name: str, value: Tensor, present: Tensor) -> Tensor:
        present = present.reshape(-1, *(1,) * (value.ndim - 1))
        if value.dtype == torch.bool:  # a mask: no token of an absent modality counts,
            return value & present if self._knows_presence else value | ~present
        default = getattr(self, f"absent_{name}", None)
        if default is not None and default.shape != value.shape[1:]:
            raise ConfigError(
                f"Fusion(absent=...) gives {tuple(default.shape)} for {name!r}, but its encoder "
                f"gives {shape_of(value)}"
            )
        return torch.where(present, value, 0.0 if default is None else default)


def _by_task(returned: Any, tasks: Mapping[str, Task]) -> tuple[Tensor, ...]:
    came = named(returned)
    if set(tasks) <= set(came):
        outputs = [came[name] for name in tasks]
    elif len(came) == len(tasks) and not isinstance(returned, Mapping):
        outputs = list(came.values())
    else:
        raise ConfigError(
            f"the fusion head returned a {type(returned).__name__} with {list(came)}, but the "
            f"tasks are {list(tasks)}. Return one tensor per task, by name or in this order."
        )
    return tuple(_fit(name, tasks[name], out) for name, out in zip(tasks, outputs, strict=True))


def _fit(name: str, task: Task, output: Tensor) -> Tensor:
    if output.ndim == 1 and task.shape == (1,):
        output = output.unsqueeze(1)
    if output.shape[1:] != task.shape:
        wanted = f"[B, {', '.join(map(str, task.shape))}]"
        what = f"{task.shape[0]} {'names' if isinstance(task, Regression) else 'labels'}"
        has = f"shape={task.shape}" if isinstance(task, Raw) else what
        raise ConfigError(
            f"task {name!r} has {has}, but the fusion head gives shape {shape_of(output)} for it; "
            f"{wanted} was expected"
        )
    return output.float()
