"""A minute of photographs and noise, none of them a digit."""

from __future__ import annotations

import logging

import pytest

from tests.live import distraction, stage
from tests.live.serving import Serving, events
from tests.live.stage import Stage

pytestmark = pytest.mark.live

_log = logging.getLogger(__name__)


def test_a_minute_of_photographs_and_noise_begins_at_most_one_event() -> None:
    if reason := stage.missing() or distraction.missing():
        pytest.skip(reason)
    film, sound = distraction.film(), distraction.sound()
    with Stage() as running:
        # What the camera sees before it begins is the first photograph already.
        running.perform(film, None, distraction.FILM_HZ, in_s=3_600)
        options = ("--camera", "0", "--mic", "default")
        with Serving(*options, environment=running.environment) as serving:
            serving.until_present("camera", "mic")
            begin_ns = running.perform(film, sound, distraction.FILM_HZ)
            end_ns = begin_ns + distraction.SECONDS * 1_000_000_000
            serving.until(lambda row: row["time_ns"] > end_ns, distraction.SECONDS + 10)
    seen = [row for row in serving.rows if {"camera", "mic"} <= set(row["basis"])]
    assert len(seen) > 0.9 * len(serving.rows) > 600
    began = [event["label"] for event in events(serving.rows) if event["what"] == "began"]
    _log.info("began: %s", began)
    assert len(began) <= 1, began
