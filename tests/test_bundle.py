"""Reading a bundle's folder, which may come from a stranger."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import MANIFEST, Bundle, file_ref, open_bundle
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError
from mmedge.runtime.predictor import Predictor
from tests.fakes import linear_bundle

Run = Callable[..., tuple[int, str, str]]

KINDS = ["camera-*.onnx", "fusion-*.onnx", "golden-*.npz", "tokenizer-*.json", "parity-*.json"]


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def edit(folder: Path, change: Callable[[Any], None]) -> None:
    tree = json.loads((folder / MANIFEST).read_bytes())
    change(tree)
    (folder / MANIFEST).write_text(json.dumps(tree))


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def link_outside(path: Path) -> None:
    outside = path.parent.with_name("outside")
    shutil.move(path, outside)
    path.symlink_to(outside)


def link_inside(path: Path) -> None:
    shutil.move(path, path.with_name("same"))
    path.symlink_to("same")


def link_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "flipped": (flip, "is not the file that the manifest names"),
    "grown": (grow, "were expected"),
    "cut": (cut, "is not the file that the manifest names"),
    "missing": (Path.unlink, "is missing from the bundle"),
    "link outside": (link_outside, "plain file"),
    "link inside": (link_inside, "plain file"),
    "link nowhere": (link_nowhere, "plain file"),
    "folder": (make_folder, "plain file"),
    "pipe": (make_pipe, "plain file"),
}


def test_the_shipped_bundle_is_whole(demo_bundle: Path) -> None:
    bundle = open_bundle(demo_bundle)
    bundle.check()
    assert bundle.path == demo_bundle
    assert set(bundle.files) == {ref.name for ref in bundle.manifest.files}
    assert len(bundle.files) == len(list(demo_bundle.iterdir())) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_byte_in_any_file_is_found(demo_bundle: Path, kind: str, mmedge: Run) -> None:
    damaged = one(demo_bundle, kind)
    flip(damaged)
    code, out, err = mmedge("inspect", demo_bundle)
    assert (code, out) == (3, "")
    assert damaged.name in err
    assert "is not the file that the manifest names" in err


def test_one_flipped_byte_in_the_manifest_is_found(demo_bundle: Path, mmedge: Run) -> None:
    manifest = demo_bundle / MANIFEST
    data = manifest.read_bytes()
    for at in (0, data.index(b'"sha256": "') + 11, len(data.rstrip()) - 1):
        manifest.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert mmedge("inspect", demo_bundle)[0] == 3


@pytest.mark.parametrize("kind", ["camera-*.onnx", "golden-*.npz"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_the_one_named_is_refused(
    demo_bundle: Path, kind: str, damage: str
) -> None:
    hurt, words = DAMAGE[damage]
    hurt(one(demo_bundle, kind))
    with pytest.raises(ArtefactError, match=words):
        open_bundle(demo_bundle).check()


@pytest.mark.parametrize("damage", ["link outside", "link inside", "folder", "pipe"])
def test_a_manifest_that_is_no_plain_file_is_refused(demo_bundle: Path, damage: str) -> None:
    hurt, words = DAMAGE[damage]
    hurt(demo_bundle / MANIFEST)
    with pytest.raises(ArtefactError, match=words):
        open_bundle(demo_bundle)


@pytest.mark.parametrize("pattern", ["mic-*.onnx", "tokenizer-*.json"])
def test_a_damaged_file_never_reaches_a_predictor(demo_bundle: Path, pattern: str) -> None:
    flip(one(demo_bundle, pattern))
    with pytest.raises(ArtefactError, match="is not the file that the manifest names"):
        Predictor.open(demo_bundle)


def test_files_are_only_read_when_they_are_asked_for(demo_bundle: Path) -> None:
    flip(one(demo_bundle, "golden-*.npz"))
    bundle = open_bundle(demo_bundle)
    assert bundle.read(bundle.manifest.plans["fp32"].graphs["camera"])
    with pytest.raises(ArtefactError):
        bundle.read(bundle.manifest.golden.file)


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "sub/x.onnx"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(
    demo_bundle: Path, name: str, mmedge: Run
) -> None:
    def rename(tree: Any) -> None:
        tree["plans"]["fp32"]["graphs"]["camera"]["name"] = name

    edit(demo_bundle, rename)
    code, _, err = mmedge("inspect", demo_bundle)
    assert code == 3
    assert "plans.fp32.graphs.camera.name" in err


def test_a_file_declared_with_3_gb_is_refused_before_it_is_read(demo_bundle: Path) -> None:
    edit(demo_bundle, lambda tree: tree["golden"]["file"].update(bytes=3_000_000_000))
    with pytest.raises(ArtefactError, match=r"golden\.file\.bytes"):
        open_bundle(demo_bundle)


def test_a_manifest_of_more_than_16_mib_is_refused_before_it_is_read(demo_bundle: Path) -> None:
    with (demo_bundle / MANIFEST).open("r+b") as file:
        file.truncate(5 * 2**30)  # a hole: the disk holds none of it
    with pytest.raises(ArtefactError, match="has 5368709120 bytes, 16777216 were expected"):
        open_bundle(demo_bundle)


def test_a_newer_bundle_is_incompatible(demo_bundle: Path, mmedge: Run) -> None:
    edit(demo_bundle, lambda tree: tree.update(mmedge_schema=2))
    with pytest.raises(IncompatibleError, match="schema 2"):
        open_bundle(demo_bundle)
    assert mmedge("inspect", demo_bundle)[0] == 4


@pytest.mark.parametrize("content", [b"", b"{}", b"[[[[", b'{"mmedge_schema": 1'])
def test_a_broken_manifest_is_refused(demo_bundle: Path, content: bytes, mmedge: Run) -> None:
    (demo_bundle / MANIFEST).write_bytes(content)
    code, out, err = mmedge("verify", demo_bundle)
    assert (code, out) == (3, "")
    assert "manifest.json" in err


def test_a_place_without_a_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Make one with: mmedge export"):
        open_bundle(tmp_path / "no.mmedge")
    with pytest.raises(ConfigError, match=r"cannot be opened|there is no bundle"):
        open_bundle(tmp_path / ("x" * 300))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_is_no_bundle_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.mmedge")
    with pytest.raises(ArtefactError, match="is not a bundle: it has no manifest"):
        open_bundle(tmp_path / "x.mmedge")


def test_a_link_to_a_whole_bundle_may_be_opened(demo_bundle: Path) -> None:
    link = demo_bundle.with_name("link.mmedge")
    link.symlink_to(demo_bundle)
    open_bundle(link).check()


def test_a_bundle_in_memory_is_checked_like_a_folder() -> None:
    bundle = linear_bundle(1)
    bundle.check()
    ref = bundle.manifest.golden.file
    broken = Bundle.in_memory(bundle.manifest, {**bundle.files, ref.name: b"x"})
    with pytest.raises(ArtefactError, match=f"{ref.name} is not the file"):
        broken.check()


def test_a_name_holds_twelve_digits_of_its_contents_hash() -> None:
    ref = file_ref("x", ".bin", b"abc")
    assert ref.name == "x-ba7816bf8f01.bin"
    assert ref.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert ref.bytes == 3


def test_the_digest_follows_the_manifest(demo_bundle: Path) -> None:
    before = open_bundle(demo_bundle).digest
    assert open_bundle(demo_bundle).digest == before
    edit(demo_bundle, lambda tree: tree.update(name="other"))
    assert open_bundle(demo_bundle).digest != before
