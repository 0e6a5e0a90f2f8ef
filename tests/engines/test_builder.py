"""What a TensorRT is told, and what is said of its failures; by a stand-in that records."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from mmedge.engines.builder import Compiled, build_engine, inspect_engine
from mmedge.engines.config import BuildConfig
from mmedge.engines.profiles import Profile, Shapes
from mmedge.errors import ConfigError, IncompatibleError, ResourceError
from tests.engines.fake_tensorrt import FakeTensorRT, toolkit_of

INPUTS = {"x": (-1, 4, 6, 3)}
SHAPES = Shapes(min=(1, 4, 6, 3), opt=(1, 4, 6, 3), max=(8, 4, 6, 3))
PROFILE = Profile(inputs={"x": SHAPES})


def build(fake: FakeTensorRT, *, timings: bytes | None = None, **options: Any) -> Compiled:
    config = BuildConfig(**options)
    return build_engine(
        lambda: b"a model",
        what="graph 'g'",
        profile=PROFILE,
        config=config,
        toolkit=toolkit_of(fake),
        dla_core=config.dla_core,
        timings=timings,
    )


def test_types_are_the_graph_s_and_scratch_is_a_quarter_of_the_board_s_memory() -> None:
    fake = FakeTensorRT(INPUTS)
    compiled = build(fake)
    assert compiled.engine == b"an engine"
    assert fake.network_flags == 2  # 1 << STRONGLY_TYPED
    assert fake.settings.told == {
        "TF32": False,
        "WORKSPACE": 2 * 2**30,
        "profile": {"x": ((1, 4, 6, 3), (1, 4, 6, 3), (8, 4, 6, 3))},
    }


def test_scratch_is_what_was_asked_for() -> None:
    fake = FakeTensorRT(INPUTS)
    build(fake, workspace_bytes=2**28)
    assert fake.settings.told["WORKSPACE"] == 2**28


def test_where_all_networks_are_strongly_typed_no_flag_is_given() -> None:
    fake = FakeTensorRT(INPUTS, weak=False)
    build(fake)
    assert fake.network_flags == 0


def test_a_tensorrt_without_strong_types_is_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"no strongly typed networks.*10\.3 or newer"):
        build(FakeTensorRT(INPUTS, strong=False))


def test_a_dla_that_is_not_there_is_said() -> None:
    with pytest.raises(IncompatibleError, match="finds 0 DLA cores here, and dla_core=0"):
        build(FakeTensorRT(INPUTS), dla_core=0, max_batch=1)


def test_what_a_dla_cannot_run_stays_on_the_gpu_and_is_named() -> None:
    fake = FakeTensorRT(INPUTS, dla_cores=2)
    compiled = build(fake, dla_core=1, max_batch=1)
    assert compiled.notes == ("DLA core 1 runs 2 of 3 layers; on the GPU stay softmax",)
    assert fake.settings.told["GPU_FALLBACK"] is True
    assert (fake.settings.default_device_type, fake.settings.DLA_core) == ("DLA", 1)


def test_a_profile_that_does_not_fit_is_refused_before_anything_is_compiled() -> None:
    fake = FakeTensorRT({"x": (-1, 4, 6, 3), "mask": (-1, 4)})
    with pytest.raises(ConfigError, match="no shapes for the input 'mask'"):
        build(fake)
    assert fake.builds == 0


def test_what_the_parser_refuses_is_named_with_its_node() -> None:
    with pytest.raises(IncompatibleError, match=r"graph 'g': tensorrt 10\.3\.0 .*at DFT: no such"):
        build(FakeTensorRT(INPUTS, refuses="no such operator"))


def test_a_compiler_that_gives_up_is_quoted() -> None:
    with pytest.raises(IncompatibleError, match="could not build it: no implementation"):
        build(FakeTensorRT(INPUTS, fails="no implementation"))


def test_no_memory_is_another_error_with_another_remedy() -> None:
    with pytest.raises(ResourceError, match=r"out of memory.*--workspace-mib"):
        build(FakeTensorRT(INPUTS, fails="Cuda Runtime (out of memory)"))


def test_a_builder_that_does_not_start_says_why() -> None:
    with pytest.raises(IncompatibleError, match="cannot start: CUDA initialization failure"):
        build(FakeTensorRT(INPUTS, starts=False))


def test_what_a_thread_of_the_compiler_s_own_says_is_heard() -> None:
    assert build(FakeTensorRT(INPUTS, says="careful")).warnings == ("careful",)


@pytest.mark.parametrize("timings", [b"not mine", b"another's"])
def test_timings_that_do_not_fit_are_left_out_and_it_measures_anew(timings: bytes) -> None:
    fake = FakeTensorRT(INPUTS, timed=True)
    assert build(fake, timings=timings).timings == b"."
    assert fake.settings.given == [timings, b""]


def test_a_tensorrt_that_keeps_no_timings_does_without() -> None:
    assert build(FakeTensorRT(INPUTS), timings=b"some").timings == b""


def test_without_being_asked_it_is_given_no_timings() -> None:
    fake = FakeTensorRT(INPUTS, timed=True)
    assert build(fake).timings == b""
    assert fake.settings.given == []


def test_an_engine_that_cannot_be_opened_again_says_why() -> None:
    toolkit = toolkit_of(FakeTensorRT(opens=False))
    with pytest.raises(IncompatibleError, match=r"cannot open the engine of graph 'g': CUDA init"):
        inspect_engine(b"an engine", "graph 'g'", toolkit)


def test_ctrl_c_ends_the_compiler_at_its_next_step_and_works_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        build(FakeTensorRT(INPUTS, interrupted=signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_comes_to_whoever_waits_for_it_when_the_compiler_has_ended() -> None:
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with pytest.raises(IncompatibleError, match="Build canceled"):
            build(FakeTensorRT(INPUTS, interrupted=signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert build(FakeTensorRT(INPUTS, interrupted=signal.SIGINT)).engine == b"an engine"
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[Compiled] = []
    thread = threading.Thread(target=lambda: found.append(build(FakeTensorRT(INPUTS))))
    thread.start()
    thread.join()
    assert found[0].engine == b"an engine"
