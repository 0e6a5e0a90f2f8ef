from __future__ import annotations

import logging
from pathlib import Path

import pytest

from mmedge.runtime.pipeline.board import Board, read_board
from tests.runtime.sinks.ticks import HandClock


def plant(root: Path, **files: str) -> None:
    """Make a tree: keys are paths with ``__`` for ``/``."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def heat(root: Path, number: int, name: str, millidegrees: str) -> None:
    folder = f"sys__class__thermal__thermal_zone{number}__"
    plant(root, **{folder + "type": name + "\n", folder + "temp": millidegrees + "\n"})


def cooling(root: Path, number: int, name: str, state: str) -> None:
    folder = f"sys__class__thermal__cooling_device{number}__"
    plant(root, **{folder + "type": name + "\n", folder + "cur_state": state + "\n"})


def jetson(root: Path, mode: str = "0002") -> None:
    plant(
        root,
        var__lib__nvpmodel__status=f"pmode:{mode}\n",
        **{
            "etc__nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n"
            "< POWER_MODEL ID=2 NAME=MODE_30W >\n",
            "sys__class__hwmon__hwmon3__oc1_event_cnt": "4\n",
            "sys__class__hwmon__hwmon3__oc3_event_cnt": "1\n",
        },
    )


def test_a_board_that_says_nothing_says_nothing(tmp_path: Path) -> None:
    assert read_board(tmp_path) == {}
    assert Board(tmp_path).poll() == {}


def test_the_hottest_zone_counts_and_nonsense_does_not(tmp_path: Path) -> None:
    heat(tmp_path, 0, "cpu-thermal", "48500")
    heat(tmp_path, 1, "gpu-thermal", "51250")
    heat(tmp_path, 2, "cv0-thermal", "-256000")
    heat(tmp_path, 3, "pmic", "no number")
    assert read_board(tmp_path) == {"temperature": "51.2 C (gpu-thermal)"}


def test_throttling_is_what_slows_down_and_not_a_fan(tmp_path: Path) -> None:
    cooling(tmp_path, 0, "pwm-fan", "3")
    cooling(tmp_path, 1, "cpu-throttle-alert", "0")
    assert read_board(tmp_path) == {}
    cooling(tmp_path, 1, "cpu-throttle-alert", "1")
    cooling(tmp_path, 2, "thermal-cpufreq-0", "2")
    cooling(tmp_path, 3, "thermal-cpufreq-0", "2")
    assert read_board(tmp_path) == {"throttled": "cpu-throttle-alert, thermal-cpufreq-0"}


def test_the_lowest_limit_of_the_clocks_is_told(tmp_path: Path) -> None:
    for policy, limit in (("policy0", "1500000"), ("policy4", "729600")):
        folder = f"sys__devices__system__cpu__cpufreq__{policy}__"
        plant(
            tmp_path,
            **{folder + "scaling_max_freq": limit, folder + "cpuinfo_max_freq": "1500000"},
        )
    assert read_board(tmp_path) == {"clock_limit": "0.73 of 1.50 GHz"}


def test_a_jetson_tells_its_power_mode_by_name(tmp_path: Path) -> None:
    jetson(tmp_path)
    assert read_board(tmp_path) == {"power_mode": "2 (MODE_30W)", "overcurrent_events": "5"}
    plant(tmp_path, var__lib__nvpmodel__status="pmode:0007\n")
    assert read_board(tmp_path)["power_mode"] == "7"


def test_events_count_from_the_first_reading_on(tmp_path: Path) -> None:
    count = "sys__devices__system__cpu__cpu0__thermal_throttle__package_throttle_count"
    plant(tmp_path, **{count: "100\n"})
    clock = HandClock()
    board = Board(tmp_path, clock=clock)
    assert board.poll() == {}
    plant(tmp_path, **{count: "107\n"})
    assert board.poll() == {}  # not yet read again
    clock.forward(5)
    assert board.poll() == {"throttle_events": "7"}


def test_a_change_of_the_power_mode_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jetson(tmp_path)
    clock = HandClock()
    board = Board(tmp_path, clock=clock)
    board.poll()
    caplog.clear()
    jetson(tmp_path, mode="0000")
    for _ in range(3):
        clock.forward(5)
        board.poll()
    assert [record.getMessage() for record in caplog.records] == [
        "the board's power_mode is now 0 (MAXN), was 2 (MODE_30W)"
    ]
    assert caplog.records[0].levelno == logging.WARNING


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir(parents=True)
    plant(tmp_path, sys__class__thermal__cooling_device0__cur_state="\x00\xff" * 10)
    plant(tmp_path, var__lib__nvpmodel__status="pmode:")
    assert read_board(tmp_path) == {}


def test_this_machine_can_be_read() -> None:
    assert all(isinstance(value, str) for value in Board().poll().values())
