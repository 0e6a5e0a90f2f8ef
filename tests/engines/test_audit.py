"""What was promised against what was built; TensorRT's own engines are in ``tests/rtx``."""

from __future__ import annotations

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.engines.audit import Audit, Promise, audit, read_promise
from mmedge.engines.graph import PlanGraph
from mmedge.engines.layers import Fused, parse_inspection, parse_listing
from mmedge.errors import ProofError
from tests.engines.graphs import SCALE, WEIGHT, ZERO, graph_of, node

LISTING = """Layers:
Name: __mye3165_0_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], Metadata:
Name: conv_U37_myl0_11, LayerType: correlation, Inputs: [ { Name: a, Dimensions: [-1,1,40,101], \
Datatype: Int8, Format: (Linear) Row major linear format }], Constants: [ { Name: w, Datatype: \
Float }], Outputs: [ { Name: b, Datatype: Half }], Metadata: [ONNX Layer: conv][ONNX Layer: relu]
Name: _gemm_mha_v2_0, LayerType: gemm, Inputs: [ { Name: q, Datatype: Half }, { Name: m, \
Datatype: Bool }], Outputs: [], Metadata: [ONNX Layer: one][ONNX Layer: softmax][ONNX Layer: two]

Engine Metadata:
 Multi-Device: Disabled
"""


def test_the_builder_s_list_is_read() -> None:
    shape, conv, attention = parse_listing(LISTING)
    assert not shape.multiplies
    assert conv == Fused("conv_U37_myl0_11", "correlation", ("Int8",), frozenset({"conv", "relu"}))
    assert (conv.multiplies, conv.attends) == (True, False)
    assert attention.attends
    assert attention.inputs == ("Half", "Bool")


# The fields and words are those of NVIDIA's documentation of the engine inspector; no GPU wrote it.
IN_10 = """{"Layers": [
 {"Name": "conv + relu", "LayerType": "CaskConvolution",
  "Inputs": [{"Name": "a", "Dimensions": [16,512,28,28],
   "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format."}],
  "Weights": {"Type": "Int8", "Count": 131072},
  "Metadata": "[ONNX Layer: conv]\\u001e[ONNX Layer: relu]"},
 {"Name": "reformat", "LayerType": "Reformat",
  "Inputs": [{"Name": "x", "Format/Datatype": "Row major linear FP16 format"}], "Metadata": ""},
 {"Name": "__myl_Fc", "LayerType": "kgen",
  "Inputs": [{"Name": "h", "Format/Datatype": "Half"}], "Metadata": "[ONNX Layer: linear]"}
], "Bindings": ["x", "y"]}"""
IN_11 = """{"Layers": [{"Name": "linear", "LayerType": "gemm",
  "Inputs": [{"Name": "h", "DataType": "Half", "Format": "Row major linear format"}],
  "Metadata": "[ONNX Layer: linear]"}], "I/O Tensors": []}"""


def test_what_an_inspector_says_is_read_in_the_words_of_10_and_of_11() -> None:
    conv, reformat, linear = parse_inspection(IN_10)
    assert (conv.inputs, sorted(conv.nodes)) == (("Int8",), ["conv", "relu"])
    assert conv.multiplies
    assert (reformat.inputs, reformat.multiplies) == (("Half",), False)
    assert (linear.inputs, linear.multiplies) == (("Half",), True)
    assert parse_inspection(IN_11) == (Fused("linear", "gemm", ("Half",), frozenset({"linear"})),)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"Layers": ["conv + relu"]}', '{"Layers": [{"Name": "conv"}]}']
)
def test_an_inspector_that_tells_no_details_proves_nothing(text: str) -> None:
    with pytest.raises(ProofError, match=r"inspector says nothing|cannot be audited"):
        parse_inspection(text)


def test_a_list_without_layers_proves_nothing() -> None:
    with pytest.raises(ProofError, match="cannot be audited"):
        parse_listing("Layers:\n\nEngine Metadata:\n")


def promised(**products: str) -> Promise:
    return Promise(
        products=products,
        adds=frozenset({"add"}),
        casts={"to_half": "Float", "to_float": "Half", "of_bytes": "UInt8"},
        attentions=(frozenset({"one", "two"}),),
        spare=frozenset({"folded"}),
    )


def layer(inputs: str, *nodes: str, kind: str = "gemm") -> Fused:
    return Fused(f"layer of {nodes}", kind, tuple(inputs.split()), frozenset(nodes))


def test_an_engine_that_is_what_was_promised_passes() -> None:
    found = audit(
        promised(conv="Int8", linear="Half", front="Float", folded="Float", one="Half", two="Half"),
        [
            layer("Int8", "conv"),
            layer("Half Bool", "linear"),
            layer("Float", "linear", "bias", kind="kgen"),  # comes behind, and multiplies nothing
            layer("Float", "front"),
            layer("Half", "one", "softmax", "two"),
        ],
    )
    assert found == Audit(
        layers=5, precisions={"Float": 1, "Half": 3, "Int8": 1}, attentions=1, fused=1
    )
    assert Audit.from_json(found.to_json()) == found
    found.check("graph 'g'")


@pytest.mark.parametrize(
    ("wanted", "engine", "words"),
    [
        ("Int8", [layer("Float", "conv")], "conv takes Float where Int8 was promised"),
        ("Int8", [layer("Half", "conv")], "conv takes Half where Int8 was promised"),
        ("Int8", [layer("Int8 Half", "conv")], "conv takes Half and Int8 where Int8"),
        ("Int8", [layer("Int8", "conv"), layer("Float", "conv")], "conv takes Float and Int8"),
        ("Int8", [layer("Int8", "other")], "conv takes nothing where Int8 was promised"),
        ("Half", [layer("Float", "conv")], "conv takes Float where Half was promised"),
        ("Half", [layer("Int8", "conv")], "conv takes Int8 where Half was promised"),
        ("Half", [layer("Half", "other")], "conv takes nothing where Half was promised"),
        ("Float", [layer("Float", "other")], "conv takes nothing where Float was promised"),
        # A cast excuses the type that it takes, and no other.
        ("Half", [layer("Float", "conv", "to_float")], "conv takes Float where Half"),
        ("Half", [layer("Float", "of_bytes", "conv")], "conv takes Float where Half"),
        ("Half", [layer("Bool", "to_half", "conv")], "conv takes Bool where Half"),
        ("Float", [layer("Half", "conv")], "conv takes Half where Float was promised"),
    ],
)
def test_a_product_in_another_precision_fails(wanted: str, engine: list[Fused], words: str) -> None:
    with pytest.raises(ProofError, match=f"graph 'g' was built otherwise.*{words}") as raised:
        audit(promised(conv=wanted), engine).check("graph 'g'")
    assert raised.value.exit_code == 7


@pytest.mark.parametrize(
    ("wanted", "engine"),
    [
        ("Int8", [layer("Int8 Half", "conv", "add")]),  # a skip branch, added inside
        ("Half", [layer("Float", "to_half", "conv")]),  # the cast is in the same layer
        ("Half", [layer("Float Half", "to_half", "conv", "to_float")]),
        ("Float", [layer("Half", "to_float", "conv")]),
        ("Float", [layer("UInt8", "of_bytes", "conv")]),
    ],
)
def test_what_is_added_or_cast_in_the_same_layer_is_no_other_precision(
    wanted: str, engine: list[Fused]
) -> None:
    assert audit(promised(conv=wanted), engine).wrong == ()


def test_one_that_hangs_on_shapes_alone_may_be_missing_but_not_be_another() -> None:
    assert audit(promised(folded="Float"), [layer("Half", "other")]).wrong == ()
    (wrong,) = audit(promised(folded="Float"), [layer("Half", "folded")]).wrong
    assert wrong == "folded takes Half where Float was promised"


def test_what_a_dla_runs_is_not_listed_and_not_missed() -> None:
    assert audit(promised(conv="Int8"), [layer("Int8", "other")], hidden=True).wrong == ()


def test_attention_in_pieces_is_counted() -> None:
    pieces = [layer("Half", "one"), layer("Half", "softmax", kind="kgen"), layer("Half", "two")]
    found = audit(promised(one="Half", two="Half"), pieces)
    assert (found.attentions, found.fused, found.wrong) == (1, 0, ())


def test_many_complaints_are_counted_and_the_first_shown() -> None:
    names = {f"conv{index}": "Int8" for index in range(9)}
    with pytest.raises(ProofError, match=r"conv2 takes nothing .*; and 6 more$"):
        audit(promised(**names), [layer("Half", "other")]).check("graph 'g'")


def rounded_product() -> bytes:
    """One product in INT8, and one that is not."""
    return graph_of(
        [
            node("QuantizeLinear", ["x", "scale", "zero"], "q"),
            node("DequantizeLinear", ["q", "scale", "zero"], "xr"),
            node("DequantizeLinear", ["w", "scale", "zero"], "wr"),
            node("MatMul", ["xr", "wr"], "first"),
            node("Cast", ["first"], "half", to=10),
            node("MatMul", ["half", "v"], "second"),
            node("Cast", ["second"], "y", to=1),
        ],
        {"scale": SCALE, "zero": ZERO, "w": WEIGHT, "v": np.ones((3, 3), np.float16)},
    )


def test_a_promise_is_read_from_the_graph_s_types() -> None:
    promise = read_promise(PlanGraph(rounded_product(), "graph 'g'"), ["the_first"])
    assert promise.products == {"the_first": "Int8", "the_second": "Half"}
    assert promise.casts == {"the_half": "Float", "the_y": "Half"}
    assert (promise.attentions, promise.spare) == ((), frozenset())


FACTOR = {"w": np.ones((3, 3), np.float32)}


def test_a_product_of_shapes_or_that_no_output_hangs_on_may_be_missing() -> None:
    model = graph_of(
        [
            node("Shape", ["x"], "sizes"),
            node("ConstantOfShape", ["sizes"], "zeros"),
            node("MatMul", ["zeros", "w"], "steady"),
            node("MatMul", ["x", "w"], "sized"),
            node("Shape", ["sized"], "others"),
            node("MatMul", ["x", "w"], "dead"),
            node("MatMul", ["x", "w"], "alive"),
            node("Add", ["alive", "steady"], "sum"),
            node("Reshape", ["sum", "others"], "y"),
        ],
        FACTOR,
    )
    promise = read_promise(PlanGraph(model, "graph 'g'"), ())
    assert promise.products.keys() == {"the_steady", "the_sized", "the_dead", "the_alive"}
    assert promise.spare == {"the_steady", "the_sized", "the_dead"}


def unnamed(*names: str) -> bytes:
    first, second = node("MatMul", ["x", "w"], "h"), node("MatMul", ["h", "w"], "y")
    first.name, second.name = names
    return graph_of([first, second], FACTOR)


def test_products_without_a_name_have_that_which_tensorrt_lists_them_under() -> None:
    promise = read_promise(PlanGraph(unnamed("", ""), "graph 'g'"), ())
    assert promise.products == {"node_of_h": "Float", "node_of_y": "Float"}


def test_two_products_with_one_name_are_refused() -> None:
    with pytest.raises(ProofError, match=r"two products with the name 'same'.*Export it again"):
        read_promise(PlanGraph(unnamed("same", "same"), "graph 'g'"), ())


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([], "does not list 'the_first' as INT8"),
        (["the_first", "the_second"], "lists 'the_second' as INT8"),
    ],
)
def test_a_plan_that_says_otherwise_than_its_graph_is_refused(
    listed: list[str], words: str
) -> None:
    with pytest.raises(ProofError, match=f"the plan {words}, and its graph says otherwise"):
        read_promise(PlanGraph(rounded_product(), "graph 'g'"), listed)


def test_the_shipped_graphs_promise_float32(demo: Bundle) -> None:
    for name, ref in demo.manifest.plans["fp32"].graphs.items():
        promise = read_promise(PlanGraph(demo.read(ref), name), ())
        assert set(promise.products.values()) <= {"Float"}
