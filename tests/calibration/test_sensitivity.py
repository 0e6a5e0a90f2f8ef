from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mmedge.calibration.layers import Layer
from mmedge.calibration.sensitivity import Unit, measure, noise_of, ordered, units_of


def layers(count: int) -> list[Layer]:
    return [
        Layer(name=f"l{number}", kind="MatMul", activations=("x",), weight="w", output="y", macs=10)
        for number in range(count)
    ]


def test_every_layer_is_a_unit_while_they_are_few() -> None:
    units = units_of("camera", layers(3))
    assert [unit.layers for unit in units] == [("l0",), ("l1",), ("l2",)]
    assert [unit.macs for unit in units] == [10, 10, 10]
    assert units[0].pairs == (("camera", "l0"),)


def test_many_layers_become_runs_of_neighbours() -> None:
    units = units_of("camera", layers(7), most=3)
    assert [unit.layers for unit in units] == [
        ("l0", "l1", "l2"),
        ("l3", "l4", "l5"),
        ("l6",),
    ]
    assert units[0].macs == 30


def test_the_products_of_an_attention_are_one_unit() -> None:
    units = units_of("text", layers(4), [frozenset({"l1", "l3"})])
    assert [unit.layers for unit in units] == [("l0",), ("l1", "l3"), ("l2",)]


def test_an_encoder_without_layers_has_no_units() -> None:
    assert units_of("hint", []) == ()


def test_noise_is_the_error_over_what_differs_between_samples() -> None:
    reference = {"digit": np.array([[0.0, 10.0], [2.0, 10.0]])}  # the second tells nothing
    answers = {"digit": np.array([[0.1, 10.0], [2.0, 10.1]])}
    assert noise_of(reference, answers) == pytest.approx(0.02 / 2)


def test_noise_of_several_tasks_is_their_mean() -> None:
    one, other = np.array([[0.0], [2.0]]), np.array([[0.2], [2.0]])
    assert noise_of({"a": one, "b": one}, {"a": other, "b": one}) == pytest.approx(0.01)


def test_what_gains_most_for_a_product_is_restored_first_and_the_unknown_last() -> None:
    unit = Unit(modality="m", layers=("a",), macs=100, noise=0.1)
    small = replace(unit, layers=("b",), macs=10)
    unknown = replace(unit, layers=("c",), noise=math.nan)
    assert ordered([unknown, unit, small]) == [small, unit, unknown]


def test_units_are_measured_while_there_is_time() -> None:
    units = units_of("camera", layers(3))
    asked: list[str] = []

    def noise(unit: Unit) -> float:
        asked.append(unit.layers[0])
        return 0.5

    measured = measure(units, noise, late=lambda: len(asked) >= 2)
    assert asked == ["l0", "l1"]
    assert [unit.noise for unit in measured[:2]] == [0.5, 0.5]
    assert math.isnan(measured[2].noise)
