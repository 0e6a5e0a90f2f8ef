from __future__ import annotations

from pathlib import Path

import numpy as np

from mmedge.proof.data import Sample, Split
from mmedge.proof.data.overlap import said_of_shared
from tests.proof.data.making import SIDES, prepared, sound


def test_inputs_that_parts_share_are_counted_by_modality(tmp_path: Path) -> None:
    raws = [
        {"ant": sound(1, 0), "bee": sound(1, 0)},
        {"ant": sound(1, 0), "bee": sound(2, 0)},  # ant's is that of another part
        {"ant": sound(3, 0), "bee": sound(2, 0)},  # bee's of its own part
        {"bee": sound(4, 0)},
        {"ant": sound(1, 0)},
    ]
    data = prepared(tmp_path, [Sample(where=str(n), raws=raw) for n, raw in enumerate(raws)])
    rows = {"ranges": [0], "search": [1, 2], "report": [3, 4]}
    parts = Split(**{name: np.array(each) for name, each in rows.items()}, digests={})
    (said,) = said_of_shared(data, parts, SIDES.manifest.modalities)
    assert said.startswith("1 of 2 different inputs of 'ant' are in more than one of the parts")
