from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.manifest import Manifest, parse_manifest
from tests.fakes import linear_bundle
from tests.remembering import remembering_bundle

GRAPH = ("plans", "fp32", "graphs", "ant")
GIB = 2**30


@pytest.fixture(scope="module")
def written() -> bytes:
    return linear_bundle(2).manifest.model_dump_json(indent=1).encode()


def changed(written: bytes, path: tuple[str | int, ...], value: object) -> bytes:
    """The manifest with one value changed; ``...`` takes it out."""
    tree = json.loads(written)
    at: Any = tree
    for step in path[:-1]:
        at = at[step]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(tree).encode()


def test_a_manifest_survives_json(written: bytes) -> None:
    manifest = parse_manifest(written)
    assert manifest == linear_bundle(2).manifest
    assert manifest.presence == ("ant", "bee")


def test_changing_nothing_breaks_nothing(written: bytes) -> None:
    assert parse_manifest(changed(written, ("name",), "linear")).name == "linear"


def test_it_names_every_file_once(written: bytes) -> None:
    stems = [ref.name.partition("-")[0] for ref in parse_manifest(written).files]
    assert stems == ["ant", "bee", "fusion", "golden"]


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        ".",
        "",
        "/etc/passwd",
        "sub/x.onnx",
        "sub\\x.onnx",
        "C:x.onnx",
        ".hidden",
        "-x.onnx",
        "x.onnx\n",
        "x\0.onnx",
        "x y.onnx",
        "é.onnx",
        "x" * 128,
    ],
)
def test_a_file_name_that_could_lead_elsewhere_is_refused(written: bytes, name: str) -> None:
    with pytest.raises(ArtefactError, match=r"plans\.fp32\.graphs\.ant\.name"):
        parse_manifest(changed(written, (*GRAPH, "name"), name))


REFUSED: list[tuple[tuple[str | int, ...], object, str]] = [
    (
        ("graphs", "fusion", "outputs", 0, "shape"),
        ["batch", 2],
        "output level has ('batch', 2), its task ('batch', 1)",
    ),
    ((*GRAPH, "bytes"), 3 * GIB, "less than or equal to 2147483648"),
    ((*GRAPH, "bytes"), 2 * GIB + 1, "less than or equal to 2147483648"),
    ((*GRAPH, "bytes"), -1, "greater than or equal to 0"),
    ((*GRAPH, "bytes"), 10**30, "plans.fp32.graphs.ant.bytes"),
    ((*GRAPH, "bytes"), "12", "valid integer"),
    ((*GRAPH, "bytes"), True, "valid integer"),
    ((*GRAPH, "sha256"), "A" * 64, "match pattern"),
    ((*GRAPH, "sha256"), "a" * 63, "match pattern"),
    ((*GRAPH, "mode"), "x", "plans.fp32.graphs.ant.mode"),
    (("extra",), 1, "Extra inputs are not permitted"),
    (("tasks", "level", "extra"), 1, "Extra inputs are not permitted"),
    (("mmedge_schema",), 0, "mmedge_schema is 0, not a version number"),
    (("mmedge_schema",), "2", "mmedge_schema is '2', not a version number"),
    (("mmedge_schema",), True, "mmedge_schema is True, not a version number"),
    (("name",), "../linear", "match pattern"),
    (("name",), ..., "name: Field required"),
    (("presence",), ["ant"], "must name each of ['ant', 'bee'] once"),
    (("presence",), ["ant", "ant"], "must name each of ['ant', 'bee'] once"),
    (("presence",), ["ant", "bee", "bee"], "must name each of ['ant', 'bee'] once"),
    (("presence",), [], "at least 1 item"),
    (("modalities", "ant", "kind"), "smell", "does not match any of the expected tags"),
    (("modalities", "ant", "rate_hz"), 1000.5, "valid integer"),
    (("tasks",), {}, "at least 1 item"),
    (("tasks", "other"), {"kind": "regression", "names": ["x"], "units": ["m"]}, "outputs of"),
    (("graphs", "fusion"), ..., "graphs must be ['ant', 'bee', 'fusion'], not ['ant', 'bee']"),
    (("graphs", "fusion", "inputs", 0, "name"), "cow", "inputs of fusion must be"),
    (("graphs", "fusion", "outputs", 0, "name"), "cow", "outputs of fusion must be ['level']"),
    (("graphs", "ant", "inputs", 0, "shape"), ["batch", 0], "greater than or equal to 1"),
    (("graphs", "ant", "inputs", 0, "shape"), ["batch", 2**40], "less than or equal to"),
    (("graphs", "ant", "inputs", 0, "dtype"), "object", "float32"),
    (("graphs", "ant", "inputs"), [], "at least 1 item"),
    (("plans", "fp32"), ..., "plans lacks 'fp32'"),
    (("plans", "fp32", "graphs", "bee"), ..., "plans.fp32.graphs must be"),
    (("plans", "fp32", "tolerances", "cpu", "absolute"), -1.0, "greater than or equal to 0"),
    (("plans", "fp32", "tolerances", "npu"), {"absolute": 0, "relative": 0}, "'cpu' or 'gpu'"),
    (("plans", "fp32", "temperatures"), {"level": {"ant": 2.0}}, "no such classification"),
    (("tokenizers", "ant"), {"name": "t", "sha256": "0" * 64, "bytes": 1}, "tokenizers must be []"),
    (("golden", "samples"), 0, "greater than or equal to 1"),
    (("golden", "samples"), 1025, "less than or equal to 1024"),
    (("golden", "source"), "somewhere", "'seeded' or 'clips'"),
]


@pytest.mark.parametrize(("path", "value", "words"), REFUSED)
def test_a_manifest_that_breaks_a_rule_is_refused_in_words(
    written: bytes, path: tuple[str | int, ...], value: object, words: str
) -> None:
    with pytest.raises(ArtefactError) as caught:
        parse_manifest(changed(written, path, value))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_name_for_two_contents_is_refused(written: bytes) -> None:
    name = json.loads(written)["golden"]["file"]["name"]
    with pytest.raises(ArtefactError, match="is named twice with different contents"):
        parse_manifest(changed(written, (*GRAPH, "name"), name))


@pytest.mark.parametrize("version", [2, 99, 10**30])
def test_a_newer_schema_is_not_damage_but_another_version(written: bytes, version: int) -> None:
    with pytest.raises(IncompatibleError, match=f"has schema {version}, this mmedge reads up to 1"):
        parse_manifest(changed(written, ("mmedge_schema",), version))


def test_a_newer_schema_may_have_fields_that_are_not_known_here() -> None:
    with pytest.raises(IncompatibleError, match="Upgrade mmedge"):
        parse_manifest(b'{"mmedge_schema": 2, "surprise": [NaN]}'.replace(b"NaN", b"0"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"no JSON",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b'{"a": 1} trailing',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
    ],
    ids=lambda data: data[:12].decode("latin-1"),
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"manifest\.json is not valid JSON"):
        parse_manifest(data)


@pytest.mark.parametrize("data", [b"null", b"[]", b"1", b'"x"', b"{}"])
def test_json_that_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"manifest\.json breaks the schema"):
        parse_manifest(data)


def test_a_number_too_large_for_a_float_is_refused(written: bytes) -> None:
    absolute = b'"absolute": 0.0001'
    assert absolute in written
    with pytest.raises(ArtefactError, match="finite number"):
        parse_manifest(written.replace(absolute, b'"absolute": 1e999'))


def test_every_truncated_manifest_is_refused(written: bytes) -> None:
    whole = written.rstrip()
    for end in range(0, len(whole), 97):
        with pytest.raises(ArtefactError):
            parse_manifest(whole[:end])


@pytest.mark.parametrize("anchor", [b'"name": "linear"', b'"scale": 1.0', b'"sha256"'])
def test_a_key_that_stands_twice_is_refused_at_any_depth(written: bytes, anchor: bytes) -> None:
    key = anchor.partition(b":")[0]
    twice = written.replace(anchor, key + b": 1, " + anchor, 1)
    assert twice != written
    with pytest.raises(ArtefactError, match=f"key '{key.decode()[1:-1]}' stands twice"):
        parse_manifest(twice)


def test_a_manifest_of_more_than_16_mib_is_not_parsed(written: bytes) -> None:
    limit = 16 * 2**20
    assert isinstance(parse_manifest(written.ljust(limit)), Manifest)
    with pytest.raises(ArtefactError, match="has 16777217 bytes; the most that is read is 1677721"):
        parse_manifest(written.ljust(limit + 1))


def test_a_long_value_is_not_repeated_in_the_message(written: bytes) -> None:
    with pytest.raises(ArtefactError) as caught:
        parse_manifest(changed(written, ("name",), "!" * 100_000))
    assert len(str(caught.value)) < 400


@pytest.fixture(scope="module")
def remembering() -> bytes:
    return remembering_bundle().manifest.model_dump_json(indent=1).encode()


def test_states_are_read_back(remembering: bytes) -> None:
    (state,) = parse_manifest(remembering).states["ear"]
    assert (state.name, state.input, state.output) == ("sum", "state_sum", "next_sum")
    assert state.init == (10.0,)


def test_a_manifest_without_states_says_nothing_of_them(written: bytes) -> None:
    assert parse_manifest(written).states == {}
    assert "states" not in json.loads(written)


STATE = ("states", "ear", 0)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ((*STATE, "input"), "samples", "state sum goes in as float32(batch, 4) and comes out as"),
        ((*STATE, "input"), "nothing", "inputs of states ['nothing'] must be some of"),
        ((*STATE, "output"), "nothing", "outputs of states ['nothing'] must be some of"),
        ((*STATE, "init"), [1, 2], "state sum has 2 init values; 1 or 1"),
        ((*STATE, "init"), [], "states.ear.0.init"),
        ((*STATE, "name"), "../x", "states.ear.0.name"),
        (("states", "ear"), [], "states.ear"),
        (("states",), {"nose": []}, "states.nose"),
        (("modalities", "ear", "hop_ms"), 2, "each sample must be seen once: hop_ms=2 has to be"),
    ],
)
def test_states_that_do_not_fit_the_graph_are_refused(
    path: tuple[str | int, ...], value: object, words: str, remembering: bytes
) -> None:
    with pytest.raises(ArtefactError, match=re.escape(words)):
        parse_manifest(changed(remembering, path, value))


def test_two_states_may_not_share_a_tensor(remembering: bytes) -> None:
    twice = json.loads(remembering)["states"]["ear"] * 2
    with pytest.raises(ArtefactError, match="once each"):
        parse_manifest(changed(remembering, ("states", "ear"), twice))


def test_states_of_something_that_is_no_encoder_are_refused(remembering: bytes) -> None:
    there = json.loads(remembering)["states"]["ear"]
    with pytest.raises(ArtefactError, match="which are not all encoders"):
        parse_manifest(changed(remembering, ("states",), {"fusion": there}))
