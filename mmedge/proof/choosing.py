"""Which metric a task is judged by, where it has several, or has no labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mmedge.errors import ConfigError
from mmedge.proof.paired import METRICS
from mmedge.proof.recall import recall_k
from mmedge.specs import Matching, Raw, Regression, Task

__all__ = ["check_metric", "metric_of", "said_of_unlabelled"]


def metric_of(task: Task, asked: str | None) -> str:
    """Give what a task's drop is measured in: what was asked for if the task has it."""
    names = METRICS[type(task)]
    if asked is not None and (asked in names or (isinstance(task, Matching) and recall_k(asked))):
        return asked
    return names[0]


def check_metric(asked: str | None, tasks: Mapping[str, Task]) -> None:
    """Refuse a metric that none of the tasks has.

    Args:
        asked: one of `mmedge.proof.paired.METRICS`, ``recall_at_K``, or ``None``.
        tasks: the model's.

    Raises:
        ConfigError: there is no such metric here.
    """
    names = sorted({name for task in tasks.values() for name in METRICS[type(task)]})
    if any(isinstance(task, Matching) for task in tasks.values()):
        names.append("recall_at_5")  # or any other number
    known = "recall_at_5" if asked and recall_k(asked) else asked
    if known and known not in names:
        raise ConfigError(
            f"no task of the model is judged by {asked!r}; choose {' or '.join(names)}"
        )


def said_of_unlabelled(unlabelled: Collection[str], tasks: Mapping[str, Task]) -> str:
    """Say what a drop is where there are no labels; nothing where all tasks have some.

    Args:
        unlabelled: tasks that no clip has a label for.
        tasks: the model's.
    """
    if not unlabelled:
        return ""
    some = len(unlabelled) < len(tasks)
    who = f"There are no labels for {', '.join(unlabelled)}" if some else "There are no labels"
    numbers = [name for name in unlabelled if isinstance(tasks[name], (Regression, Raw))]
    far = "how far a plan's numbers are from fp32's, not how far from the truth"
    if len(numbers) == len(unlabelled):
        return f"{who}: a drop is {far}."
    also = f"; of {', '.join(numbers)} it is {far}" if numbers else ""
    return (
        f"{who}: a drop is how often a plan answers otherwise than fp32, not how often wrongly"
        f"{also}."
    )
