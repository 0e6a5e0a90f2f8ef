"""What an engine is kept under."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedge.engines.driver import Driver, Gpu
from mmedge.engines.request import BUILDER, EngineRequest, Place
from mmedge.engines.toolkit import Toolkit
from tests.engines.requests import REQUEST, request

CHANGES: list[dict[str, Any]] = [
    {"model_sha256": "ab" * 31 + "ac"},
    {"plan": "fp16"},
    {"profile": {"frames": [[1, 8, 8, 3], [1, 8, 8, 3], [9, 8, 8, 3]]}},
    {"profile": {"images": REQUEST.profile["frames"]}},
    {"flags": {"workspace_bytes": 0, "dla_core": None}},
    {"flags": {"workspace_bytes": None, "dla_core": 0}},
    {"flags": {"workspace_bytes": None}},
    {"toolkit": "tensorrt_rtx"},
    {"version": "10.3.0.1"},
    {"gpu": "Orin Nano"},
    {"capability": (8, 6)},
    {"uuid": "GPU-1"},
    {"driver": "540.4.0, CUDA 12.8"},
    {"builder": BUILDER + 1},
]

names = st.text(max_size=4)
sizes = st.lists(st.integers(1, 3), min_size=1, max_size=2)
places = st.builds(
    Place,
    toolkit=names,
    version=names,
    gpu=names,
    capability=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    uuid=names,
    driver=names,
)
requests = st.builds(
    EngineRequest,
    graph=names,
    model_sha256=names,
    plan=names,
    profile=st.dictionaries(names, st.lists(sizes, min_size=3, max_size=3), max_size=2),
    flags=st.dictionaries(names, st.none() | st.booleans() | st.integers(0, 2) | names, max_size=2),
    place=places,
    builder=st.integers(1, 2),
)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_whatever_changes_the_key_is_another(change: dict[str, Any]) -> None:
    assert request(**change).key != REQUEST.key


def test_the_same_is_the_same_in_whatever_order_it_is_said() -> None:
    turned = request(flags=dict(reversed(REQUEST.flags.items())))
    assert list(turned.flags) != list(REQUEST.flags)
    assert turned.key == request().key == REQUEST.key


@given(requests, requests)
def test_two_requests_share_a_key_only_if_they_are_equal_but_for_the_graph_s_name(
    one: EngineRequest, other: EngineRequest
) -> None:
    # Not by ==: to Python True is 1, and to a builder it is another flag.
    told, others = one.to_json(), {**other.to_json(), "graph": one.graph}
    same = json.dumps(told, sort_keys=True) == json.dumps(others, sort_keys=True)
    assert (one.key == other.key) == same


def test_two_modalities_with_the_same_file_have_one_engine() -> None:
    assert request(graph="mic").key == REQUEST.key
    assert request(graph="mic").replaces(REQUEST)


@given(requests)
def test_a_request_comes_back_from_json_as_it_was(one: EngineRequest) -> None:
    again = EngineRequest.from_json(json.loads(json.dumps(one.to_json())))
    assert again == one
    assert again.key == one.key


@pytest.mark.parametrize(
    ("change", "replaces"),
    [
        ({"version": "10.7.0"}, True),
        ({"driver": "560"}, True),
        ({"flags": {}}, True),
        ({"profile": {}}, True),
        ({"builder": BUILDER + 1}, True),
        ({"model_sha256": "00" * 32}, False),
        ({"plan": "fp16"}, False),
        ({"toolkit": "tensorrt_rtx"}, False),
        ({"gpu": "RTX 4090"}, False),
        ({"capability": (8, 9)}, False),
        ({"uuid": "GPU-1"}, False),
    ],
)
def test_an_update_replaces_an_engine_and_another_graph_plan_or_gpu_does_not(
    change: dict[str, Any], replaces: bool
) -> None:
    assert request(**change).replaces(REQUEST) == replaces


def test_what_differs_is_said() -> None:
    assert request(version="10.7.0").differences(REQUEST) == "version is 10.7.0, and was 10.3.0"
    both = request(driver="560", flags={}).differences(REQUEST)
    assert both == "driver is 560, and was 540.4.0, CUDA 12.6; its flags are another"
    assert request(builder=BUILDER + 1).differences(REQUEST) == "its builder is another"


def test_a_place_is_told_in_one_line() -> None:
    line = "Orin (8.7), driver 540.4.0, CUDA 12.6, tensorrt 10.3.0"
    assert str(REQUEST.place) == line


def test_the_place_of_a_machine_is_its_first_gpu() -> None:
    orin = Gpu(name="Orin", capability=(8, 7), memory_bytes=8, uuid="GPU-0")
    other = Gpu(name="Thor", capability=(11, 0), memory_bytes=8, uuid="GPU-1")
    driver = Driver(version=(12, 6), kernel="540.4.0", gpus=(orin, other))
    toolkit = Toolkit(name="tensorrt", trt=None, version="10.3.0", driver=driver)
    assert Place.of(toolkit) == REQUEST.place
    unknown = replace(toolkit, driver=replace(driver, kernel=""))
    assert Place.of(unknown).driver == "CUDA 12.6"
