from __future__ import annotations

import numpy as np

from mmedge.runtime.sources.pcm import SoundRuns, as_int16

MS = 1_000_000


def test_blocks_that_join_are_one_run_and_time_is_counted_in_samples() -> None:
    runs = SoundRuns()
    # Stamps rounded to a millisecond, as containers have them: 441 samples are 10.0 ms.
    placed = [runs.place(stamp * MS, 512, 44_100) for stamp in (0, 12, 23, 35, 46)]
    assert [index for _, _, index in placed] == [0, 512, 1024, 1536, 2048]
    assert {run for _, run, _ in placed} == {0}
    assert [begin_ns for begin_ns, _, _ in placed] == [
        0,
        11_609_977,
        23_219_954,
        34_829_931,
        46_439_909,
    ]


def test_a_hole_a_step_back_and_another_rate_begin_a_new_run() -> None:
    runs = SoundRuns()
    assert runs.place(0, 160, 16_000) == (0, 0, 0)
    assert runs.place(10 * MS, 160, 16_000) == (10 * MS, 0, 160)
    assert runs.place(120 * MS, 160, 16_000) == (120 * MS, 1, 0)
    assert runs.place(30 * MS, 160, 16_000) == (30 * MS, 2, 0)
    assert runs.place(40 * MS, 480, 48_000) == (40 * MS, 3, 0)
    runs.begin()
    assert runs.place(50 * MS, 480, 48_000) == (50 * MS, 4, 0)


def test_a_sender_whose_clocks_differ_is_followed_within_the_run() -> None:
    runs = SoundRuns()
    errors_ns = []
    for index in range(60_000):  # ten minutes; 300 ppm are 180 ms by then
        stamp_ns = index * 10 * MS + index * 3_000
        begin_ns, run, at = runs.place(stamp_ns, 160, 16_000)
        assert (run, at) == (0, 160 * index)
        errors_ns.append(abs(begin_ns - stamp_ns))
    assert max(errors_ns) < 1.2 * MS


def test_floats_become_int16_and_what_is_louder_is_clipped() -> None:
    floats = np.float32([[0.5, -1.0, 1.0, 2.0], [1 / 32_768, 0.0, -2.0, 0.25]])
    samples = as_int16(floats)
    assert samples.tolist() == [[16_384, 1], [-32_768, 0], [32_767, -32_768], [32_767, 8_192]]
    assert samples.dtype == np.int16
    assert samples.flags.c_contiguous
