"""Numeric signals: files, windows, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.clips import kind_of, read_signal
from mmedge.runtime.preprocess import make_preprocessor
from mmedge.runtime.windows.walk import iter_windows
from mmedge.specs import Signal, Sound

SPEC = Signal(channels=2, rate_hz=100, window_ms=100, hop_ms=50)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_without_times_has_a_sample_per_line(tmp_path: Path) -> None:
    signal = read_signal(written(tmp_path / "a.csv", "x,y\n1,2\n3,4\n\n"))
    assert signal.values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert signal.times_ns is None


def test_a_first_column_of_times_is_read_in_its_unit(tmp_path: Path) -> None:
    signal = read_signal(written(tmp_path / "a.csv", "time_ms,x\n5,1\n15.5,2\n"))
    assert signal.values.tolist() == [[1.0], [2.0]]
    assert signal.times_ns is not None
    assert signal.times_ns.tolist() == [0, 10_500_000]


def test_npy_may_be_one_channel_or_many(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.array([1, 2, 3], np.int16))
    np.save(tmp_path / "two.npy", np.array([[1, 2], [3, 4]], np.float32))
    assert read_signal(tmp_path / "one.npy").values.tolist() == [[1.0], [2.0], [3.0]]
    assert read_signal(tmp_path / "two.npy").values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert kind_of(tmp_path / "two.npy") == "signal"


def test_windows_follow_the_hop_and_end_with_the_file(tmp_path: Path) -> None:
    values = np.arange(50, dtype=np.float32).reshape(25, 2)
    np.save(tmp_path / "a.npy", values)
    windows = list(iter_windows({"imu": tmp_path / "a.npy"}, {"imu": SPEC}))
    assert [w.end_ns // 1_000_000 for w in windows] == [100, 150, 200, 250]
    assert np.array_equal(windows[1].raw["imu"], values[5:15])


def test_uneven_times_are_interpolated_onto_the_grid(tmp_path: Path) -> None:
    rows = "\n".join(f"{t / 1000},{t},{-t}" for t in (0, 7, 31, 64, 100, 120))
    path = written(tmp_path / "a.csv", f"time_s,x,y\n{rows}\n")
    first = next(iter_windows({"imu": path}, {"imu": SPEC})).raw["imu"]
    assert np.allclose(first[:, 0], np.arange(10) * 10.0, atol=1e-4)
    assert np.allclose(first[:, 1], -first[:, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n", "no line of numbers"),
        ("1,2\n3\n", "sample 2: 1 columns, not 2"),
        ("1,2\n3,four\n", "sample 2: .*'four'"),
        ("time_s,x,y\n1,0,0\n1,0,0\n", "must ascend"),
        ("1\n2\n3\n", "has 1 channels, not 2"),
        ("1,2\n" * 3 + "nan,2\n" + "1,2\n" * 20, "sample 4 is NaN or infinite"),
        ("1,2\n" * 9, "a window needs 10"),
        ("time_s,x,y\n0,0,0\n1e8,0,0\n", "span more than a day"),
        ("time_s,x,y\n0,0,0\ninf,0,0\n", "are not finite"),
        ("1," + "2" * 200_000, "is not CSV"),
    ],
)
def test_a_bad_signal_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list(iter_windows({"imu": written(tmp_path / "a.csv", text)}, {"imu": SPEC}))


def test_a_gap_is_not_filled_up_but_absent(tmp_path: Path) -> None:
    times = [*range(0, 300, 10), *range(900, 1200, 10)]
    rows = "\n".join(f"{t},{t},0" for t in times)
    path = written(tmp_path / "a.csv", f"time_ms,x,y\n{rows}\n")
    windows = list(iter_windows({"imu": path}, {"imu": SPEC}))
    ends = [w.end_ns // 1_000_000 for w in windows if "imu" in w.raw]
    assert ends == [100, 150, 200, 250, 300, 1000, 1050, 1100, 1150, 1200]


def test_a_recording_far_above_the_encoders_rate_is_refused(tmp_path: Path) -> None:
    rows = "\n".join(f"{t},0,0" for t in range(2000))
    path = written(tmp_path / "a.csv", f"time_ms,x,y\n{rows}\n")
    with pytest.raises(SourceError, match="taken at about 1000 Hz, the encoder at 100 Hz"):
        list(iter_windows({"imu": path}, {"imu": SPEC}))


def test_a_header_that_promises_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 2)))
    data = (tmp_path / "a.npy").read_bytes().replace(b"(10, 2), }", b"(10000000000, 2), }")
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(SourceError, match="not a readable NPY file"):
        read_signal(tmp_path / "a.npy")


def test_a_pickle_inside_an_npy_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(SourceError, match="not a readable NPY file"):
        read_signal(tmp_path / "a.npy")


def test_the_predictor_takes_exactly_one_window() -> None:
    prepare = make_preprocessor("imu", SPEC)
    assert prepare(np.zeros((10, 2)))["values"].dtype == np.float32
    with pytest.raises(ConfigError, match=r"takes \[10, 2\].*got \[9, 2\]"):
        prepare(np.zeros((9, 2), np.float32))
    with pytest.raises(ConfigError, match="1 of 20 values are NaN"):
        prepare(np.array([[np.nan, 0.0]] + [[0.0, 0.0]] * 9))
    with pytest.raises(ConfigError, match="array of float32, but got int64"):
        prepare(np.zeros((10, 2), np.int64))


def test_rates_that_do_not_divide_are_refused_when_declared() -> None:
    with pytest.raises(ValueError, match="not a whole number of samples; give a multiple of 1000"):
        Signal(channels=1, rate_hz=333, window_ms=100, hop_ms=50)
    with pytest.raises(ValueError, match=r"hop_ms=250 at rate_hz=22050 .* a multiple of 20"):
        Sound(rate_hz=22_050, window_ms=1000, hop_ms=250)
    assert Sound(rate_hz=22_050, window_ms=1000, hop_ms=240).samples == 22_050
