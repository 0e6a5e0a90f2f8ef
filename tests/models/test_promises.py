from __future__ import annotations

import inspect
import re

import pytest

torch = pytest.importorskip("torch")

from mmedge import models  # noqa: E402
from mmedge.models import losses  # noqa: E402

pytestmark = pytest.mark.torch

# What these compute, a specification says.
FRONT_ENDS = {"LogMelFrontEnd", "NormaliseFrontEnd", "StandardiseFrontEnd", "StandardiseWindow"}


def test_what_is_promised_is_there_and_in_order() -> None:
    assert models.__all__ == sorted(models.__all__)
    for name in models.__all__:
        found = getattr(models, name)
        assert found.__name__ == name
        assert found.__module__.startswith(("mmedge.models.", "mmedge.specs.presets"))


def test_every_loss_names_the_work_that_it_is_taken_from() -> None:
    for name in losses.__all__:
        assert re.search(r"\b(19|20)\d\d\b", getattr(losses, name).__doc__), name


def test_every_network_names_the_work_that_it_is_taken_from() -> None:
    classes = {name: getattr(models, name) for name in models.__all__}
    networks = {name: each for name, each in classes.items() if inspect.isclass(each)}
    unsourced = [n for n, c in networks.items() if not re.search(r"\b(19|20)\d\d\b", c.__doc__)]
    assert set(unsourced) <= FRONT_ENDS
