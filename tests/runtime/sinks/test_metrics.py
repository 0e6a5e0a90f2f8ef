from __future__ import annotations

import re
from dataclasses import replace

from mmedge.runtime.pipeline.status import ModalityStatus, SourceStatus
from mmedge.runtime.sinks.metrics import Metric, exposition, metrics_of
from tests.runtime.sinks.ticks import make_status


def test_the_state_is_told_in_prometheus_text_format() -> None:
    told = exposition(metrics_of(make_status())).splitlines()
    wanted = [
        'mmedge_info{model="digits",bundle="0123456789ab"} 1.0',
        "mmedge_ready 1.0",
        "mmedge_degraded 0.0",
        "# TYPE mmedge_ticks_total counter",
        "mmedge_ticks_total 20.0",
        "# TYPE mmedge_ticks_per_second gauge",
        "mmedge_ticks_per_second 4.0",
        'mmedge_board_info{item="power_mode",value="MAXN"} 1.0',
        'mmedge_modality_present{modality="camera"} 1.0',
        'mmedge_modality_present{modality="mic"} 0.0',
        'mmedge_modality_age_seconds{modality="camera"} 0.033',
        'mmedge_modality_encode_seconds{modality="camera"} 0.0045',
        'mmedge_modality_skipped_total{modality="camera"} 74.0',
        'mmedge_modality_complaint{modality="camera",complaint="dark"} 1.0',
        'mmedge_source_state{source="microphone pulse",feeds="mic",state="live"} 0.0',
        'mmedge_source_state{source="microphone pulse",feeds="mic",state="waiting"} 1.0',
        'mmedge_source_drift_ppm{source="microphone pulse",feeds="mic"} -12.5',
        'mmedge_sink_dropped_total{sink="jsonl"} 1.0',
        'mmedge_sink_degraded{sink="jsonl"} 1.0',
    ]
    assert [line for line in wanted if line not in told] == []


def test_what_is_not_known_is_left_out() -> None:
    told = exposition(metrics_of(make_status()))
    assert 'mmedge_modality_age_seconds{modality="mic"}' not in told
    assert 'mmedge_source_drift_ppm{source="camera 0"' not in told
    assert "nan" not in told.lower()
    bare = make_status(modalities={}, sources=(), sinks=(), board={})
    assert {metric.name for metric in metrics_of(bare)} == {
        "mmedge_info",
        "mmedge_ready",
        "mmedge_degraded",
        "mmedge_ticks_total",
        "mmedge_ticks_per_second",
        "mmedge_uptime_seconds",
    }


def test_labels_from_strangers_cannot_break_the_format() -> None:
    evil = 'a"} 1\nmmedge_ready{x="\\'
    modality = ModalityStatus(name=evil, present=True)
    told = exposition(metrics_of(make_status(model=evil, modalities={evil: modality})))
    assert r'mmedge_modality_present{modality="a\"} 1\nmmedge_ready{x=\"\\"} 1.0' in told
    sample = re.compile(r'#.*|mmedge_\w+(\{(\w+="([^"\\\n]|\\["\\n])*",?)+\})? [-\d.e+]+')
    assert [line for line in told.splitlines() if not sample.fullmatch(line)] == []


def test_a_metric_without_labels_has_no_braces() -> None:
    metric = Metric(name="x", help="One.\nTwo.", kind="gauge", samples=(({}, 2.5),))
    assert exposition([metric]) == "# HELP x One.\\nTwo.\n# TYPE x gauge\nx 2.5\n"


def test_numbers_of_the_board_are_values_and_not_labels() -> None:
    board = {
        "temperature": "51.2 C (gpu-thermal)",
        "throttled": "cpu-throttle-alert",
        "clock_limit": "0.73 of 1.50 GHz",
        "overcurrent_events": "7",
    }
    told = exposition(metrics_of(make_status(board=board))).splitlines()
    assert [line for line in told if line.startswith("mmedge_board")] == [
        'mmedge_board_info{item="throttled",value="cpu-throttle-alert"} 1.0',
        "mmedge_board_temperature_celsius 51.2",
        'mmedge_board_events_total{kind="overcurrent"} 7.0',
    ]


def test_two_sources_of_one_name_are_told_apart() -> None:
    source = SourceStatus(name="rtsp://host", feeds=("left",), state="live")
    status = make_status(sources=(source, replace(source, feeds=("right",))))
    lines = exposition(metrics_of(status)).splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    assert 'mmedge_source_samples_total{source="rtsp://host",feeds="right"} 0.0' in lines
