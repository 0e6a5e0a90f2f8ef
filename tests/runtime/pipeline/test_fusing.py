from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.encoding import Encoding
from mmedge.runtime.pipeline.fusing import Desk, Fuser
from mmedge.runtime.predictor import Predictor
from tests.fakes import linear_bundle

MS = 1_000_000


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor(linear_bundle(3)) as opened:
        yield opened


def encoding(name: str, number: int, end_ms: int, value: float = 1.0) -> Encoding:
    return Encoding(
        modality=name,
        number=number,
        begin_ns=(end_ms - 2) * MS,
        end_ns=end_ms * MS,
        place=(1, 2, 3),
        arrays={name: np.full((1, 2), value, np.float32)},
    )


def test_on_every_new_embedding_one_prediction_is_due_however_many_came(
    predictor: Predictor,
) -> None:
    desk = Desk(predictor, LiveConfig(fuse="each"))
    assert not desk.due(0)
    desk.put(encoding("ant", 0, 100))
    desk.put(encoding("bee", 0, 100))
    assert desk.due(110 * MS)
    desk.select(110 * MS)
    assert not desk.due(111 * MS)


def test_when_all_have_to_be_new_an_absent_one_is_not_waited_for(predictor: Predictor) -> None:
    desk = Desk(predictor, LiveConfig(fuse="all", heartbeat_ms=10_000))
    desk.put(encoding("ant", 0, 100))
    desk.put(encoding("bee", 0, 100))
    desk.select(100 * MS)
    desk.put(encoding("ant", 1, 200))
    assert not desk.due(200 * MS)
    desk.put(encoding("bee", 1, 200))
    assert desk.due(200 * MS)
    desk.select(200 * MS)
    # From here on bee gives nothing; after 800 ms it is stale, and ant goes on alone.
    desk.put(encoding("ant", 2, 900))
    assert not desk.due(900 * MS)
    desk.put(encoding("ant", 3, 1001))
    assert desk.due(1001 * MS)


def test_one_modality_may_drive(predictor: Predictor) -> None:
    desk = Desk(predictor, LiveConfig(fuse="bee", heartbeat_ms=10_000))
    desk.put(encoding("ant", 0, 100))
    desk.select(100 * MS)
    desk.put(encoding("ant", 1, 120))
    assert not desk.due(120 * MS)
    desk.put(encoding("bee", 0, 130))
    assert desk.due(130 * MS)


def test_a_heartbeat_is_due_even_when_nothing_comes(predictor: Predictor) -> None:
    desk = Desk(predictor, LiveConfig(heartbeat_ms=500))
    desk.put(encoding("ant", 0, 100))
    desk.select(100 * MS)
    assert not desk.due(599 * MS)
    assert desk.due(600 * MS)


def test_what_is_older_than_its_limit_is_absent_and_says_so(predictor: Predictor) -> None:
    desk = Desk(predictor, LiveConfig(max_age_ms={"ant": 300}))
    desk.put(encoding("ant", 0, 100))
    assert set(desk.peek(400 * MS).present) == {"ant"}
    assert desk.peek(401 * MS).absent == {
        "ant": "stale",
        "bee": "nothing has come",
        "cat": "nothing has come",
    }
    desk.explain_absence({"ant": "microphone default is waiting: it is gone"})
    assert desk.peek(401 * MS).absent["ant"] == "microphone default is waiting: it is gone"
    assert "ant" in desk.peek(300 * MS).present


def test_a_prediction_says_what_it_rests_on_and_whether_it_is_fresh(predictor: Predictor) -> None:
    config = LiveConfig(tolerance_ms=50)
    desk, fuse = Desk(predictor, config), Fuser(predictor, config)
    desk.put(encoding("ant", 0, 100))
    desk.put(encoding("cat", 7, 140))
    tick = fuse(desk.select(150 * MS), utc_ns=5)
    assert tick.prediction.presence == {"ant": True, "bee": False, "cat": True}
    assert (tick.basis["cat"].encoding, tick.basis["cat"].age_ns) == (7, 10 * MS)
    assert (tick.spread_ns, tick.aligned, tick.fresh) == (40 * MS, True, True)
    assert tick.absent == {"bee": "nothing has come"}
    assert tick.bundle == predictor.bundle.digest
    again = fuse(desk.select(160 * MS), utc_ns=6)
    assert (again.number, again.fresh) == (1, False)
    assert again.prediction.tasks == tick.prediction.tasks


def test_what_lies_too_far_apart_is_marked(predictor: Predictor) -> None:
    config = LiveConfig(tolerance_ms=30)
    desk, fuse = Desk(predictor, config), Fuser(predictor, config)
    desk.put(encoding("ant", 0, 100))
    desk.put(encoding("cat", 0, 131))
    assert not fuse(desk.select(150 * MS), utc_ns=0).aligned


def test_the_prediction_is_that_of_the_predictor(predictor: Predictor) -> None:
    desk, fuse = Desk(predictor, LiveConfig()), Fuser(predictor, LiveConfig())
    desk.put(encoding("bee", 0, 100, value=3.0))
    tick = fuse(desk.select(100 * MS), utc_ns=0)
    # The encoder gives 2 s + 1, so samples of 1 give the same embedding.
    alone = predictor.predict(bee=np.array([1.0, 1.0], np.float32))
    assert tick.prediction.tasks == alone.tasks


def test_a_modality_that_the_model_lacks_is_refused(predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="no modality 'fly'"):
        Desk(predictor, LiveConfig(fuse="fly"))
    with pytest.raises(ConfigError, match="no modality 'fly'"):
        Desk(predictor, LiveConfig(max_age_ms={"fly": 5}))
    with pytest.raises(ConfigError, match="heartbeat_ms=0 must be positive"):
        LiveConfig(heartbeat_ms=0)


def test_a_prediction_is_due_as_soon_as_something_no_longer_counts(predictor: Predictor) -> None:
    desk = Desk(predictor, LiveConfig(max_age_ms={"ant": 300}, heartbeat_ms=10_000))
    desk.put(encoding("ant", 0, 100))
    desk.select(100 * MS)
    assert not desk.due(400 * MS)
    assert desk.due(400 * MS + 1)
    assert "ant" in desk.select(400 * MS + 1).absent
