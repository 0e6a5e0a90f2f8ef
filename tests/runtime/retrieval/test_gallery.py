"""A gallery on disk: whole, bound to its bundle, and data from a stranger."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError, MmedgeError, ResourceError
from mmedge.runtime.retrieval import gallery as module
from mmedge.runtime.retrieval.gallery import Gallery, Table, open_gallery, save_gallery
from tests.fakes import linear_bundle


def entries(names: tuple[str, ...] = ("a.wav", "b.wav")) -> Table:
    count = len(names)
    embeddings = {"ant": np.arange(2 * count, dtype=np.float32).reshape(count, 2)}
    return Table(names=names, end_ns=np.arange(count, dtype=np.int64), embeddings=embeddings)


def made(bundle: Bundle, **tables: Table) -> Gallery:
    return Gallery(bundle=bundle.digest, plan="fp32", tables=tables or {"ant": entries()})


def members(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def header(**changes: Any) -> np.ndarray:
    fields = {
        "mmedge_gallery": 1,
        "bundle": linear_bundle(2).digest,
        "plan": "fp32",
        "names": {"ant": ["a.wav", "b.wav"]},
        **changes,
    }
    return np.frombuffer(json.dumps(fields).encode(), np.uint8)


def test_a_gallery_is_read_as_it_was_written(tmp_path: Path) -> None:
    bundle = linear_bundle(2)
    save_gallery(made(bundle), tmp_path / "x.gallery")
    read = open_gallery(tmp_path / "x.gallery", bundle)
    assert (read.bundle, read.plan, len(read)) == (bundle.digest, "fp32", 2)
    table = read.tables["ant"]
    assert table.names == ("a.wav", "b.wav")
    assert table.end_ns.tolist() == [0, 1]
    assert table.embeddings["ant"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert [path.name for path in tmp_path.iterdir()] == ["x.gallery"]


def test_the_layout_is_the_documented_one(tmp_path: Path) -> None:
    save_gallery(made(linear_bundle(2)), tmp_path / "x.gallery")
    flat = members(tmp_path / "x.gallery")
    assert sorted(flat) == ["embedding/ant/ant", "end_ns/ant", "header"]
    assert json.loads(flat["header"].tobytes()) == json.loads(header().tobytes())


def test_a_gallery_of_another_bundle_is_refused_with_the_remedy(tmp_path: Path) -> None:
    save_gallery(made(linear_bundle(2)), tmp_path / "x.gallery")
    with pytest.raises(IncompatibleError, match="Give that bundle, or make it again: mmedge gal"):
        open_gallery(tmp_path / "x.gallery", linear_bundle(2, samples=4))


def test_one_that_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    bundle, path = linear_bundle(2), tmp_path / "x.gallery"
    save_gallery(made(bundle), path)
    with pytest.raises(ConfigError, match="add --force"):
        save_gallery(made(bundle, ant=entries(("c.wav",))), path)
    save_gallery(made(bundle, ant=entries(("c.wav",))), path, replace=True)
    assert open_gallery(path, bundle).tables["ant"].names == ("c.wav",)


def test_a_write_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, path = linear_bundle(2), tmp_path / "x.gallery"
    save_gallery(made(bundle), path)

    def full(source: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ResourceError, match="No space left"):
        save_gallery(made(bundle, ant=entries(("c.wav",))), path, replace=True)
    assert open_gallery(path, bundle).tables["ant"].names == ("a.wav", "b.wav")
    assert [each.name for each in tmp_path.iterdir()] == ["x.gallery"]


def test_places_that_cannot_hold_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; make it first"):
        save_gallery(made(linear_bundle(2)), tmp_path / "no" / "x.gallery")
    with pytest.raises(ConfigError, match="is not a file"):
        save_gallery(made(linear_bundle(2)), tmp_path, replace=True)
    with pytest.raises(ConfigError, match="is not there; make it again"):
        open_gallery(tmp_path / "x.gallery", linear_bundle(2))


def test_one_too_large_to_be_read_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 64)
    with pytest.raises(ResourceError, match="make several of fewer files"):
        save_gallery(made(linear_bundle(2)), tmp_path / "x.gallery")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"header": header(mmedge_gallery=2)}, IncompatibleError, "version 2, this mmedge reads"),
        ({"header": header(mmedge_gallery="1")}, ArtefactError, "header: mmedge_gallery"),
        ({"header": header(extra=1)}, ArtefactError, "header: extra"),
        ({"header": header(names={"ant": ["a\x1b[2J", "b"]})}, ArtefactError, "cannot be printed"),
        ({"header": header(names={"ant": ["a" * 1001, "b"]})}, ArtefactError, "at most 1000"),
        ({"header": header(names={"ant": []})}, ArtefactError, "header: names.ant"),
        ({"header": header(names={"ant": ["a"]})}, ArtefactError, "'ant' is not what"),
        ({"header": header(names={"owl": ["a", "b"]})}, ArtefactError, "'owl' is not what"),
        ({"header": np.frombuffer(b"{", np.uint8)}, ArtefactError, "has no header"),
        ({"header": None}, ArtefactError, "has no header"),
        ({"embedding/ant/ant": None}, ArtefactError, "'ant' is not what"),
        ({"embedding/ant/ant": np.zeros((2, 3), np.float32)}, ArtefactError, "'ant' is not what"),
        ({"embedding/ant/ant": np.zeros((2, 2))}, ArtefactError, "'ant' is not what"),
        ({"embedding/ant/ant": np.full((2, 2), np.nan, np.float32)}, ArtefactError, "'ant' is not"),
        ({"embedding/ant/more": np.zeros(2)}, ArtefactError, "'ant' is not what"),
        ({"end_ns/ant": np.zeros(3, np.int64)}, ArtefactError, "'ant' is not what"),
        ({"end_ns/ant": np.full(2, -1)}, ArtefactError, "'ant' is not what"),
        ({"end_ns/ant": None}, ArtefactError, "'ant' is not what"),
        ({"more": np.zeros(1)}, ArtefactError, "'more' is not what"),
    ],
)
def test_what_a_stranger_changed_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[MmedgeError], words: str
) -> None:
    path = tmp_path / "x.gallery"
    save_gallery(made(linear_bundle(2)), path)
    flat = {key: value for key, value in {**members(path), **changes}.items() if value is not None}
    with path.open("wb") as file:
        np.savez(file, **flat)
    with pytest.raises(error, match=words):
        open_gallery(path, linear_bundle(2))


def test_a_pickle_is_never_unpacked(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    save_gallery(made(linear_bundle(2)), tmp_path / "x.gallery")
    flat = members(tmp_path / "x.gallery") | {"end_ns/ant": np.array([Trap(), Trap()], object)}
    with (tmp_path / "x.gallery").open("wb") as file:
        np.savez(file, **flat)
    with pytest.raises(ArtefactError, match="Object arrays cannot be loaded"):
        open_gallery(tmp_path / "x.gallery", linear_bundle(2))
    assert not (tmp_path / "sprung").exists()


def test_one_that_swells_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2**20)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("header.npy", bytes(2**21))
    (tmp_path / "x.gallery").write_bytes(bomb.getvalue())
    with pytest.raises(ArtefactError, match="the most that is read is 1048576"):
        open_gallery(tmp_path / "x.gallery", linear_bundle(2))


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "x.gallery"
    save_gallery(made(linear_bundle(2)), path)
    whole = path.read_bytes()
    for end in range(0, len(whole), 37):
        path.write_bytes(whole[:end])
        with pytest.raises(ArtefactError, match="make it again"):
            open_gallery(path, linear_bundle(2))
