"""What is said where there are no labels."""

from __future__ import annotations

import pytest

from mmedge.proof.choosing import said_of_unlabelled
from mmedge.specs import Classification, Raw, Regression, Task

TASKS: dict[str, Task] = {
    "side": Classification(labels=("left", "right")),
    "level": Regression(names=("level",), units=("m",)),
    "field": Raw(shape=(2,)),
}
OTHERWISE = "a drop is how often a plan answers otherwise than fp32, not how often wrongly"
FAR = "how far a plan's numbers are from fp32's, not how far from the truth"


@pytest.mark.parametrize(
    ("unlabelled", "words"),
    [
        ((), ""),
        (("side",), f"There are no labels for side: {OTHERWISE}."),
        (("level", "field"), f"There are no labels for level, field: a drop is {FAR}."),
        (
            ("side", "level", "field"),
            f"There are no labels: {OTHERWISE}; of level, field it is {FAR}.",
        ),
    ],
)
def test_what_a_drop_is_without_labels_is_said_by_the_kind_of_task(
    unlabelled: tuple[str, ...], words: str
) -> None:
    assert said_of_unlabelled(unlabelled, TASKS) == words
