"""Tables that a graph reads at the indices of an input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmedge.bundle import Bundle
from mmedge.runtime.backends.tables import Table, check_indices, tables_of
from tests.fakes import encoder_graph, onnx_model

WORDS = np.zeros((7, 2), np.float32)


def gather(table: str, index: str, output: str = "y", axis: int = 0) -> Any:
    return helper.make_node("Gather", [table, index], [output], axis=axis)


def tables(nodes: list[Any], **constants: Any) -> tuple[Table, ...]:
    model = onnx_model(
        nodes,
        {"ids": ["batch", 3]},
        {"y": ["batch", 3, 2]},
        constants,
        element=TensorProto.INT64,
    )
    return tables_of(model)


def test_a_table_is_as_long_as_the_axis_that_is_read_along() -> None:
    assert tables([gather("t", "ids")], t=WORDS) == (Table("ids", 7),)
    assert tables([gather("t", "ids", axis=1)], t=WORDS) == (Table("ids", 2),)
    assert tables([gather("t", "ids", axis=-1)], t=WORDS) == (Table("ids", 2),)
    assert tables([gather("t", "ids", axis=2)], t=WORDS) == ()


def test_indices_are_followed_through_what_leaves_them_as_they_are() -> None:
    nodes = [
        helper.make_node("Cast", ["ids"], ["a"], to=TensorProto.INT32),
        helper.make_node("Unsqueeze", ["a", "last"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["c"]),
        gather("t", "c"),
    ]
    assert tables(nodes, t=WORDS, last=[-1], shape=[-1]) == (Table("ids", 7),)
    nodes[0] = helper.make_node("Abs", ["ids"], ["a"])
    assert tables(nodes, t=WORDS, last=[-1], shape=[-1]) == ()


def test_a_table_in_integers_is_one_too() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["half"]),
        helper.make_node("Cast", ["half"], ["t"], to=TensorProto.FLOAT),
        gather("t", "ids"),
    ]
    low = {"q": np.zeros((9, 2), np.int8), "scale": np.float16(1)}
    assert tables(nodes, **low) == (Table("ids", 9),)


def test_a_table_may_be_read_element_by_element() -> None:
    def elements(table: str, index: str, axis: int) -> Any:
        return helper.make_node("GatherElements", [table, index], ["y"], axis=axis)

    assert tables([elements("t", "ids", 0)], t=WORDS) == (Table("ids", 7),)
    assert tables([elements("t", "ids", 1)], t=WORDS) == (Table("ids", 2),)
    held = {"t": WORDS, "i": np.int64([[3, -8]])}
    assert tables([elements("t", "i", 0)], **held) == (Table("", 7, (-8, 3)),)


def test_several_indices_at_once_have_a_table_for_each_column() -> None:
    cube = np.zeros((7, 4, 5), np.float32)
    node = helper.make_node("GatherND", ["t", "ids"], ["y"])
    columns = (Table("ids", 7, column=0), Table("ids", 4, column=1), Table("ids", 5, column=2))
    assert tables([node], t=cube) == columns
    assert tables([node], t=WORDS) == (Table("ids", 7, column=0), Table("ids", 2, column=1))
    held = {"t": cube, "i": np.int64([[3, -8], [0, 1]])}
    node = helper.make_node("GatherND", ["t", "i"], ["y"])
    assert tables([node], **held) == (Table("", 7, (0, 3)), Table("", 4, (-8, 1)))
    node = helper.make_node("GatherND", ["t", "i"], ["y"], batch_dims=1)
    assert tables([node], **held) == (Table("", 4, (0, 3)), Table("", 5, (-8, 1)))
    nodes = [helper.make_node("Reshape", ["ids", "shape"], ["i"]), node]
    assert tables(nodes, t=cube, shape=[-1, 1]) == ()


def test_names_need_not_be_text_and_those_of_inputs_stay_as_they_are() -> None:
    # Protocol Buffers does not look into names of this age (proto2), and ONNX Runtime takes them.
    nodes = [helper.make_node("Identity", ["größe"], ["inner"]), gather("table", "inner")]
    ends = {"größe": ["batch", 3]}, {"y": ["batch", 3, 2]}
    model = onnx_model(nodes, *ends, {"table": WORDS}, element=TensorProto.INT64)
    model = model.replace(b"inner", b"\xff" * 5).replace(b"table", b"\xff" * 4 + b"\xfe")
    assert tables_of(model) == (Table("größe", 7),)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_indices_of_the_graphs_own_are_read(dtype: Any) -> None:
    held = {"t": WORDS, "i": np.array([[3, -8], [0, 1]], dtype)}
    assert tables([gather("t", "i")], **held) == (Table("", 7, (-8, 3)),)
    assert tables([gather("ids", "i", axis=1)], **held) == (Table("", 3, (-8, 3)),)
    assert tables([gather("ids", "i", axis=0)], **held) == ()  # the batch may vary


@pytest.mark.parametrize("listed", [True, False])
def test_a_constant_may_be_a_node_and_its_numbers_listed(listed: bool) -> None:
    values = np.array([300, -2], np.int64)
    tensor = (
        helper.make_tensor("i", TensorProto.INT64, [2], values.tolist())
        if listed
        else numpy_helper.from_array(values)
    )
    nodes = [helper.make_node("Constant", [], ["i"], value=tensor), gather("t", "i")]
    assert tables(nodes, t=WORDS) == (Table("", 7, (-2, 300)),)


def test_a_circle_has_no_end_and_ends() -> None:
    nodes = [
        helper.make_node("Cast", ["b"], ["a"], to=TensorProto.INT64),
        helper.make_node("Cast", ["a"], ["b"], to=TensorProto.INT64),
        gather("t", "a"),
    ]
    assert tables(nodes, t=WORDS) == ()


def test_no_table_is_none() -> None:
    assert tables_of(encoder_graph()) == ()


def test_the_shipped_models_tokens_have_a_table(demo: Bundle) -> None:
    model = demo.read(demo.manifest.plans["fp32"].graphs["hint"])
    (table,) = [each for each in tables_of(model) if each.index]
    assert table.index == "ids"
    assert table.rows > 1


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (Table("ids", 4), "input 'ids' has the index 9 into a table of 4 rows"),
        (Table("ids", 9, column=1), "input 'ids' has the index 9 into a table of 9 rows"),
        (Table("", 4, (0, 4)), "the graph has the index 4 into a table of 4 rows"),
        (Table("", 4, (-5, 0)), "the graph has the index -5 into a table of 4 rows"),
    ],
)
def test_an_index_beyond_its_table_is_told(table: Table, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_indices([table], {"ids": np.int64([[0, 9]])})
    check_indices(
        [Table("ids", 1, column=0), Table("ids", 10, column=1)], {"ids": np.int64([[0, 9]])}
    )
    check_indices([Table("ids", 10), Table("", 4, (-4, 3))], {"ids": np.int64([[0, 9]])})
