"""Who hears what TensorRT says, where several threads use it at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from mmedge.engines.listening import hear, listener_of
from tests.engines.fake_tensorrt import FakeTensorRT


def test_each_thread_hears_its_own_and_loses_nothing_to_another() -> None:
    trt = FakeTensorRT()
    both = threading.Barrier(2, timeout=10)

    def use(name: str) -> list[str]:
        with hear(trt) as heard:
            both.wait()
            listener_of(trt).log(1, f"{name} is out of memory")
            both.wait()
        with hear(trt):  # the next run begins, with nothing heard yet
            both.wait()
        return list(heard.complaints)

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(use, ("one", "two")))
    assert said == [["one is out of memory"], ["two is out of memory"]]


def test_what_is_said_in_a_thread_where_nobody_listens_is_for_all_that_do() -> None:
    trt = FakeTensorRT()
    listener = listener_of(trt)
    with hear(trt) as heard, ThreadPoolExecutor(1) as pool:
        pool.submit(listener.log, 2, "careful").result()
        pool.submit(listener.log, 4, "Layers: none").result()
    assert (list(heard.complaints), heard.layers) == (["careful"], "Layers: none")


def test_who_listened_before_listens_again_and_nobody_is_left() -> None:
    trt = FakeTensorRT()
    listener = listener_of(trt)
    with hear(trt) as outer:
        with hear(trt) as inner:
            listener.log(1, "one")
        listener.log(1, "two")
    listener.log(1, "three")
    assert (list(outer.complaints), list(inner.complaints)) == (["two"], ["one"])
    assert listener.listening == {}
