"""What mmedge refuses before TensorRT sees it, TensorRT refuses late, or computes otherwise."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'mmedge[rtx]'"
)

from mmedge.engines.profiles import Profile, Shapes
from mmedge.errors import ConfigError, IncompatibleError, MmedgeError
from tests.engines.graphs import REFUSED, TAKEN
from tests.rtx.auditing import audited, compile_graph, profile_of

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]

SILENT = {
    "uint8 Q/DQ": ("UINT8 zero_point only on DLA",),
    "Q/DQ that are uint8 by default": (),
}
"""Built all the same, to compute in int8: what -> words of its warning, if there is one."""


@pytest.mark.parametrize("what", sorted(REFUSED.keys() - SILENT.keys()))
def test_tensorrt_refuses_what_mmedge_refuses_first(what: str) -> None:
    model, words = REFUSED[what]
    with pytest.raises(IncompatibleError, match="tensorrt_rtx") as theirs:
        compile_graph(model)
    with pytest.raises(IncompatibleError, match=words) as ours:
        audited(model)
    assert "tensorrt_rtx" not in str(ours.value)
    assert str(ours.value) != str(theirs.value)


@pytest.mark.parametrize("what", SILENT)
def test_tensorrt_computes_otherwise_what_mmedge_refuses(what: str) -> None:
    model, words = REFUSED[what]
    compiled = compile_graph(model)
    assert len(compiled.engine) > 1000
    assert len(compiled.warnings) == len(SILENT[what])
    assert all(word in "".join(compiled.warnings) for word in SILENT[what])
    with pytest.raises(IncompatibleError, match=words):
        audited(model)


@pytest.mark.parametrize("what", TAKEN)
def test_tensorrt_takes_what_mmedge_takes(what: str) -> None:
    compiled = compile_graph(TAKEN[what])
    assert compiled.warnings == ()
    assert len(compiled.engine) > 1000


SMALL = Shapes(min=(1, 4, 6, 3), opt=(1, 4, 6, 3), max=(8, 4, 6, 3))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "no shapes for the input 'x'"),
        ({"x": SMALL, "z": SMALL}, "has shapes for 'z', and the graph's inputs are x"),
        ({"x": Shapes(min=(1, 4, 6), opt=(1, 4, 6), max=(8, 4, 6))}, "the graph takes"),
        ({"x": Shapes(min=(1, 4, 6, 4), opt=(1, 4, 6, 4), max=(8, 4, 6, 4))}, "the graph takes"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused_before_the_build(
    inputs: dict[str, Shapes], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        compile_graph(TAKEN["int8 Q/DQ"], profile=Profile(inputs=inputs))


def test_a_profile_whose_least_is_above_its_best_cannot_even_be_made() -> None:
    with pytest.raises(MmedgeError, match="must ascend"):
        Shapes(min=(4, 4, 6, 3), opt=(1, 4, 6, 3), max=(8, 4, 6, 3))


def test_a_profile_that_fits_is_taken() -> None:
    model = TAKEN["int8 Q/DQ"]
    assert len(compile_graph(model, profile=profile_of(model)).engine) > 1000
