from __future__ import annotations

import numpy as np
import pytest

from mmedge.proof.temperatures import fit_temperature, fit_temperatures
from mmedge.specs import Classification

SIDE = Classification(labels=("left", "right"), temperature=1.5)
RANDOM = np.random.default_rng(6)


def drawn(count: int, temperature: float, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Logits, and labels as likely as the softmax of the logits over a temperature says."""
    logits = RANDOM.normal(size=(count, classes)) * 4
    noise = RANDOM.gumbel(size=logits.shape)
    return logits.astype(np.float32), (logits / temperature + noise).argmax(axis=1)


def surprise(logits: np.ndarray, truths: np.ndarray, temperature: float) -> float:  # type: ignore[type-arg]
    values = logits.astype(np.float64) / temperature
    total = np.log(np.exp(values).sum(axis=1))
    return float(np.mean(total - values[np.arange(len(truths)), truths]))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_is_less_surprised() -> None:
    logits, truths = drawn(100_000, 2.0)
    found = fit_temperature(logits, truths)
    least = surprise(logits, truths, found)
    assert least < min(surprise(logits, truths, found * each) for each in (0.98, 1.02))


def test_two_answers_of_three_right_by_hand() -> None:
    """Logits 1 and 0, twice right of three: the odds are 2, so the logit should be log 2."""
    logits = np.tile(np.float32([[1, 0]]), (30_000, 1))
    truths = np.tile([0, 0, 1], 10_000)
    assert fit_temperature(logits, truths) == pytest.approx(1 / np.log(2), rel=0.002)


def test_what_is_always_right_does_not_become_sure_without_end() -> None:
    logits, truths = np.tile(np.float32([[1, 0]]), (10_000, 1)), np.zeros(10_000, int)
    assert 1 / 20 <= fit_temperature(logits, truths) < 1 / 19


def test_few_samples_change_little_and_none_nothing() -> None:
    logits, truths = np.tile(np.float32([[1, 0]]), (5, 1)), np.zeros(5, int)
    assert 2.0 > fit_temperature(logits, truths, otherwise=2.0) > 1.5
    assert fit_temperature(logits[:0], truths[:0], otherwise=2.0) == 2.0


def test_equal_logits_and_huge_ones_are_no_division_by_zero() -> None:
    truths = RANDOM.integers(0, 3, 200)
    assert np.isfinite(fit_temperature(np.zeros((200, 3)), truths))
    assert np.isfinite(fit_temperature(np.eye(3)[truths] * 1e30, truths))


def test_each_subset_has_its_own_and_a_rare_one_that_of_the_full_set() -> None:
    full, alone = drawn(5000, 2.0, 2), drawn(5000, 4.0, 2)
    few = (alone[0][:3], alone[1][:3])
    fitted = fit_temperatures(
        SIDE, {"ant+bee": full, "ant": alone, "bee": few, "cat": (few[0][:0], few[1][:0])}
    )
    assert list(fitted) == ["ant+bee", "ant", "bee", "cat"]
    assert fitted["ant+bee"] == pytest.approx(2.0, rel=0.1)
    assert fitted["ant"] == pytest.approx(4.0, rel=0.15)
    assert fitted["bee"] == pytest.approx(fitted["ant+bee"], rel=0.25)
    assert fitted["cat"] == fitted["ant+bee"]


def test_without_any_sample_the_task_keeps_its_own() -> None:
    nothing = (np.zeros((0, 2), np.float32), np.zeros(0, int))
    assert fit_temperatures(SIDE, {"ant": nothing}) == {"ant": 1.5}
