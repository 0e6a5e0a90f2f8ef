"""Sensors of power, in a made file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.proof.bench.power import Counters, Rails, find_meter


def write(root: Path, **files: object) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(f"{text}\n", encoding="ascii")
    return root


def test_a_jetson_module_tells_what_it_draws_in_all(tmp_path: Path) -> None:
    board = write(
        tmp_path / "sys/class/hwmon/hwmon1",
        name="ina3221",
        in1_label="VDD_IN",
        in1_input=5000,
        curr1_input=1200,
        in2_label="VDD_CPU_GPU_CV",
        in2_input=5000,
        curr2_input=400,
    )
    meter, source = find_meter(tmp_path)
    assert isinstance(meter, Rails)
    assert source == "INA3221: VDD_IN"
    meter.begin()
    assert meter.watts() is None
    meter.poll()
    write(board, curr1_input=1400)
    meter.poll()
    assert meter.watts() == 6.5
    meter.begin()
    assert meter.watts() is None


def test_a_board_without_that_rail_has_its_rails_added_up(tmp_path: Path) -> None:
    write(
        tmp_path / "sys/class/hwmon/hwmon0",
        name="ina3221",
        in1_label="VDD_GPU_SOC",
        in1_input=10000,
        curr1_input=500,
        in2_label="NC",
        in2_input=10000,
        curr2_input=500,
        in3_label="VDD_CPU_CV",
        in3_input=10000,
        curr3_input=250,
        # The chip's own sum of shunts has no current.
        in7_label="sum of shunt voltages",
        in7_input=1,
    )
    write(tmp_path / "sys/class/hwmon/hwmon1", name="nvme", in1_label="x", in1_input=1)
    meter, source = find_meter(tmp_path)
    assert source == "INA3221: VDD_GPU_SOC + VDD_CPU_CV"
    assert meter is not None
    meter.begin()
    meter.poll()
    assert meter.watts() == 7.5


def test_a_rail_that_cannot_be_read_is_left_out_from_the_start(tmp_path: Path) -> None:
    board = write(
        tmp_path / "sys/class/hwmon/hwmon0",
        name="ina3221",
        in1_label="VDD_GPU_SOC",
        in1_input=10000,
        curr1_input=500,
        in2_label="VDD_CPU_CV",
        in2_input="no number",
        curr2_input=250,
    )
    meter, source = find_meter(tmp_path)
    assert source == "INA3221: VDD_GPU_SOC"
    assert meter is not None
    meter.begin()
    meter.poll()
    assert meter.watts() == 5.0
    write(board, in1_input="no number")
    assert find_meter(tmp_path) == (None, "INA3221: VDD_GPU_SOC, VDD_CPU_CV cannot be read")


def test_a_sensor_that_fails_meanwhile_ends_nothing(tmp_path: Path) -> None:
    board = write(
        tmp_path / "sys/class/hwmon/hwmon0",
        name="ina3221",
        in1_label="VDD_GPU_SOC",
        in1_input=10000,
        curr1_input=500,
        in2_label="VDD_CPU_CV",
        in2_input=10000,
        curr2_input=250,
    )
    meter, _ = find_meter(tmp_path)
    assert meter is not None
    meter.begin()
    meter.poll()
    (board / "curr2_input").unlink()
    meter.poll()  # half of the power would be no power of the board's
    assert meter.watts() == 7.5


@pytest.mark.parametrize("when", ["before it begins", "before it ends"])
def test_counters_that_fail_meanwhile_tell_nothing(tmp_path: Path, when: str) -> None:
    zone = write(tmp_path / "sys/class/powercap/intel-rapl:0", name="package-0", energy_uj=1)
    meter, _ = find_meter(tmp_path)
    assert isinstance(meter, Counters)
    if when == "before it ends":
        meter.begin()
    (zone / "energy_uj").unlink()
    if when == "before it begins":
        meter.begin()
        write(zone, energy_uj=9)
    assert meter.watts() is None


def test_a_processors_counters_are_read_at_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = [0]
    monkeypatch.setattr("time.perf_counter_ns", lambda: now_ns[0])
    power = tmp_path / "sys/class/powercap"
    first = write(power / "intel-rapl:0", name="package-0", energy_uj=1_000_000)
    second = write(
        power / "intel-rapl:1",
        name="package-1",
        energy_uj=9_900_000,
        max_energy_range_uj=10_000_000,
    )
    write(power / "intel-rapl:0:0", name="core", energy_uj=5)
    meter, source = find_meter(tmp_path)
    assert isinstance(meter, Counters)
    assert source == "RAPL: processor packages"
    meter.begin()
    meter.poll()
    now_ns[0] = 2_000_000_000
    write(first, energy_uj=21_000_000)
    write(second, energy_uj=1_900_000)  # it has begun again at 0
    assert meter.watts() == 11.0


def test_where_there_is_nothing_it_is_said(tmp_path: Path) -> None:
    assert find_meter(tmp_path) == (None, "this machine tells of none")


def test_counters_that_only_root_may_read_are_named(tmp_path: Path) -> None:
    zone = write(tmp_path / "sys/class/powercap/intel-rapl:0", name="package-0")
    (zone / "energy_uj").mkdir()  # root may read any file, but no folder as one
    meter, why = find_meter(tmp_path)
    assert meter is None
    assert why == f"only root may read {zone / 'energy_uj'}"
