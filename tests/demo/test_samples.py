from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from mmedge.demo.hints import FACTS, MAX_TOKENS, NEUTRAL, TOKENIZER, encode, hint_for, vocabulary
from mmedge.demo.paper import Bad, draw_paper
from mmedge.demo.room import change_voice, hear, room_noise
from mmedge.demo.samples import LABELS, NOTHING, Originals, make_sample
from mmedge.demo.scenery import draw_scenery
from mmedge.demo.sets import make_set, stack_samples, to_int16
from mmedge.specs import Image

CAMERA = Image(height=32, width=32, filter="pillow-bilinear", fit="cover", colour="grey")


@pytest.fixture(scope="module")
def originals() -> Originals:
    """Glyphs are bars and words are tones, a different one for each digit."""
    bar = np.zeros((10, 1, 28, 28), np.uint8)
    for digit in range(10):
        bar[digit, 0, 4:24, 3 + 2 * digit : 6 + 2 * digit] = 255
    seconds = np.arange(3_000) / 8_000
    return Originals(
        images=dict(enumerate(bar)),
        words={
            d: [np.sin(2 * np.pi * (200 + 100 * d) * seconds).astype(np.float32)] for d in range(10)
        },
    )


def test_the_same_seed_and_index_make_the_same_sample(originals: Originals) -> None:
    first, second = (make_sample(3, 16, originals, training=True) for _ in range(2))
    assert np.array_equal(first.camera, second.camera)
    assert np.array_equal(first.mic, second.mic)
    assert (first.hint, first.label) == (second.hint, second.label)
    other = make_sample(4, 16, originals, training=True)
    assert not np.array_equal(first.camera, other.camera)
    assert not np.array_equal(first.mic, other.mic)


def test_samples_have_the_promised_shapes_and_labels_take_turns(originals: Originals) -> None:
    samples = [make_sample(0, index, originals, training=False) for index in range(22)]
    assert [sample.label for sample in samples] == [*range(11), *range(11)]
    assert LABELS[samples[10].label] == "nothing"
    for sample in samples:
        assert (sample.camera.shape, sample.camera.dtype) == ((96, 128), np.uint8)
        assert (sample.mic.shape, sample.mic.dtype) == ((8_000,), np.float32)
        assert np.abs(sample.mic).max() <= 1


def test_half_of_the_tested_words_are_clean_and_half_in_noise(originals: Originals) -> None:
    # Only the chances count here: a tiny set of originals serves.
    samples = [make_sample(0, index, originals, training=False) for index in range(660)]
    digits = [sample for sample in samples if sample.label != NOTHING]
    ratios = np.array([sample.snr_db for sample in digits])
    assert np.isinf(ratios).mean() == pytest.approx(0.47, abs=0.06)
    assert np.isnan(ratios).mean() == pytest.approx(0.06, abs=0.03)
    noisy = ratios[np.isfinite(ratios)]
    assert (noisy.min(), noisy.max()) == (pytest.approx(-6, abs=0.5), pytest.approx(6, abs=0.5))
    assert all(np.isnan(sample.snr_db) for sample in samples if sample.label == NOTHING)


def test_some_training_moments_are_drowned_in_noise_and_no_tested_one(
    originals: Originals,
) -> None:
    def drowned(training: bool) -> tuple[float, float]:
        samples = [make_sample(1, index, originals, training=training) for index in range(330)]
        rough = [np.abs(np.diff(sample.camera.astype(float))).mean() > 50 for sample in samples]
        # White noise changes its sign at every other sample; a loud room is mostly deeper.
        hiss = [
            np.abs(sample.mic).mean() > 0.07 and (np.diff(np.sign(sample.mic)) != 0).mean() > 0.45
            for sample in samples
        ]
        return float(np.mean(rough)), float(np.mean(hiss))

    picture, sound = drowned(training=True)
    assert picture == pytest.approx(0.1, abs=0.04)
    clear_picture, clear_sound = drowned(training=False)
    assert clear_picture == 0
    assert sound > clear_sound + 0.03


def test_most_training_moments_without_a_digit_look_elsewhere_and_no_tested_one(
    originals: Originals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pictures(label: int, *, training: bool) -> list[np.ndarray[Any, Any]]:
        rows = range(label, label + 11 * 100, 11)
        return [make_sample(1, row, originals, training=training).camera for row in rows]

    with_scenery, tested = pictures(NOTHING, training=True), pictures(NOTHING, training=False)
    digits = pictures(4, training=True)
    monkeypatch.setattr("mmedge.demo.samples.ELSEWHERE", 0.0)
    assert differing(with_scenery, pictures(NOTHING, training=True)) == pytest.approx(0.7, abs=0.1)
    assert differing(digits, pictures(4, training=True)) < 0.08  # those that are only spoken
    assert differing(tested, pictures(NOTHING, training=False)) == 0


def differing(some: list[np.ndarray[Any, Any]], others: list[np.ndarray[Any, Any]]) -> float:
    return float(np.mean([not np.array_equal(a, b) for a, b in zip(some, others, strict=True)]))


def test_scenery_is_seeded_various_and_nowhere_white_noise() -> None:
    scenes = [draw_scenery(np.random.default_rng(seed)) for seed in range(40)]
    assert np.array_equal(scenes[3], draw_scenery(np.random.default_rng(3)))
    assert {(scene.shape, scene.dtype) for scene in scenes} == {((96, 128), np.dtype(np.uint8))}
    assert len({scene.tobytes() for scene in scenes}) == 40
    means = [scene.mean() for scene in scenes]
    assert max(means) - min(means) > 80
    # White noise loses nine tenths of its deviation in squares of ten pixels; a scene keeps
    # most of it.
    kept = [scene[:90, :120].reshape(9, 10, 12, 10).mean(axis=(1, 3)).std() for scene in scenes]
    deviations = [scene.astype(float).std() for scene in scenes]
    assert np.median(np.divide(kept, deviations)) > 0.5


def test_a_set_is_the_same_however_many_work_on_it(
    originals: Originals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmedge.demo.sets.CHUNK", 6)
    alone = make_set(originals, 5, 11, CAMERA, training=True, workers=1)
    together = make_set(originals, 5, 11, CAMERA, training=True, workers=2)
    assert len(alone) == 11
    ninth = make_sample(5, 9, originals, training=True)
    assert np.array_equal(alone.mic[9], to_int16(ninth.mic))
    for name, value in vars(alone).items():
        assert np.array_equal(value, getattr(together, name), equal_nan=name == "snr_db"), name


def test_a_stack_holds_what_the_encoders_take(originals: Originals) -> None:
    samples = [make_sample(0, index, originals, training=False) for index in range(3)]
    stacked = stack_samples(samples, CAMERA)
    assert stacked.camera.shape == (3, 32, 32, 1)
    assert stacked.ids.shape == stacked.mask.shape == (3, MAX_TOKENS)
    assert np.array_equal(stacked.mic, np.stack([to_int16(sample.mic) for sample in samples]))


def test_the_digit_on_the_paper_is_darker_than_the_paper() -> None:
    glyph = np.zeros((28, 28), np.uint8)
    glyph[8:20, 8:20] = 255
    tame = Bad(tilt_deg=0, blur=0, noise=1.01, hidden=0, inverted=0)
    darker = []
    for seed in range(20):
        with_digit = draw_paper(np.random.default_rng(seed), glyph, tame).astype(float)
        darker.append(np.median(with_digit) - with_digit.min())
    assert min(darker) > 15


def test_inverted_paper_is_dark() -> None:
    light, dark = (
        draw_paper(np.random.default_rng(0), None, Bad(hidden=0, inverted=share)).mean()
        for share in (0.0, 1.0)
    )
    assert light > 90 > dark


def test_noise_has_the_power_that_was_asked_for() -> None:
    word = np.sin(np.arange(4_000) / 3).astype(np.float32)
    rng = np.random.default_rng(0)
    for snr_db in (0.0, 10.0):
        ratios = []
        for _ in range(30):
            state = rng.bit_generator.state
            clean = hear(rng, word, None, samples=16_000)
            rng.bit_generator.state = state
            noisy = hear(rng, word, snr_db, samples=16_000)
            if np.abs(noisy).max() == 1:  # clipped
                continue
            power = (clean**2).sum() / np.count_nonzero(clean)
            ratios.append(power / ((noisy - clean) ** 2).mean())
        assert 10 * np.log10(np.median(ratios)) == pytest.approx(snr_db, abs=0.7)


def test_room_noise_has_unit_power() -> None:
    for seed in range(10):
        noise = room_noise(np.random.default_rng(seed), 4_000)
        assert float((noise**2).mean()) == pytest.approx(1.0, abs=1e-3)


def test_a_changed_voice_has_another_pitch_within_bounds() -> None:
    word = np.sin(2 * np.pi * 1_000 * np.arange(4_000) / 8_000).astype(np.float32)
    peaks = []
    for seed in range(60):
        changed = change_voice(np.random.default_rng(seed), word)
        assert 4_000 / 1.25 - 1 <= len(changed) <= 4_000 * 1.25 + 0.25 * 8_000
        spectrum = np.abs(np.fft.rfft(changed, 16_000))
        peaks.append(spectrum.argmax() * 0.5)
    assert 790 < min(peaks) < 830
    assert 1_200 < max(peaks) < 1_260


def test_an_empty_room_is_not_digital_silence() -> None:
    for seed in range(10):
        assert np.abs(hear(np.random.default_rng(seed), None, None)).max() > 0


def test_no_hint_gives_a_digit_away() -> None:
    for first, second in combinations(FACTS, 2):
        together = FACTS[first] & FACTS[second]
        spoken = f"{first} and {second}"
        hints = {hint_for(np.random.default_rng(s), d) for s in range(40) for d in together}
        assert len(together) >= 3 or spoken not in hints
    assert all(len(digits) >= 3 for digits in FACTS.values())


def test_most_hints_are_true_and_some_are_wrong() -> None:
    rng = np.random.default_rng(0)
    said = [(digit, hint_for(rng, digit)) for digit in range(10) for _ in range(300)]
    facts = [(digit, hint) for digit, hint in said if hint not in NEUTRAL]
    true = [all(digit in FACTS[fact] for fact in hint.split(" and ")) for digit, hint in facts]
    assert len(facts) / len(said) == pytest.approx(0.75, abs=0.03)
    assert 0.85 < np.mean(true) < 0.95


def test_every_word_of_every_hint_is_known_and_every_hint_fits() -> None:
    rng = np.random.default_rng(0)
    for index in range(2_000):
        ids, mask = encode(hint_for(rng, index % 11 if index % 11 < 10 else None))
        assert mask.sum() > 0
        assert vocabulary()["[UNK]"] not in ids
    longest = max((f"{a} and {b}" for a, b in combinations(FACTS, 2)), key=lambda t: len(t.split()))
    assert len(longest.split()) <= MAX_TOKENS


def test_hints_are_encoded_as_the_tokenizers_library_does() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    reference = tokenizers.Tokenizer.from_str(json.dumps(json.loads(TOKENIZER.read_text("utf-8"))))
    for text in ("even", "has a loop and not prime", "no idea", "quite unheard of"):
        ids, mask = encode(text)
        assert ids[: mask.sum()].tolist() == reference.encode(text).ids
