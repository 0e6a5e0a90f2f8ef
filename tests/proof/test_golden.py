from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError
from mmedge.proof.golden import Golden
from mmedge.proof.trust import load_golden
from mmedge.runtime.preprocess import Pcm
from tests.fakes import linear_bundle, with_golden


@pytest.fixture(scope="module")
def archive() -> bytes:
    bundle = linear_bundle(2)
    return bundle.read(bundle.manifest.golden.file)


def npy(array: Any, *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=pickled)
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return file.getvalue()


def members(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return {name: source.read(name) for name in source.namelist()}


def promising(shape: str) -> bytes:
    """An array whose header promises a shape that does not follow."""
    header = f"{{'descr': '|b1', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0\0"


def test_samples_survive_packing_with_texts_and_rates() -> None:
    sound = np.float32([0.25, -0.5])
    golden = Golden(
        raw={
            "camera": (np.arange(6, dtype=np.uint8).reshape(1, 2, 3),),
            "hint": ("grüße 🎉",),
            "mic": (Pcm(sound, 44_100),),
        },
        inputs={"hint": {"ids": np.int64([[1, 2]]), "mask": np.int64([[1, 0]])}},
        front_ends={"mic": np.float32([[1]])},
        embeddings={"hint": {"hint": np.float32([[3]]), "hint_mask": np.array([[True]])}},
        presence=np.array([[True, True, False]]),
        outputs={"digit": np.float32([[[1, 2]]])},
    )
    back = Golden.from_bytes(golden.to_bytes())
    assert back.samples == 1
    assert back.raw["hint"] == ("grüße 🎉",)
    pcm, picture = back.raw["mic"][0], back.raw["camera"][0]
    assert isinstance(pcm, Pcm)
    assert (pcm.rate_hz, pcm.samples.tolist()) == (44_100, [0.25, -0.5])
    assert isinstance(picture, np.ndarray)
    assert (picture.dtype, picture.tolist()) == (np.uint8, [[[0, 1, 2], [3, 4, 5]]])
    assert {k: a.tolist() for k, a in back.inputs["hint"].items()} == {
        "ids": [[1, 2]],
        "mask": [[1, 0]],
    }
    assert back.front_ends["mic"].tolist() == [[1]]
    assert back.embeddings["hint"]["hint_mask"].tolist() == [[True]]
    assert back.presence.tolist() == [[True, True, False]]
    assert back.outputs["digit"].tolist() == [[[1, 2]]]


def test_the_same_samples_give_the_same_bytes(archive: bytes) -> None:
    assert Golden.from_bytes(archive).to_bytes() == archive


def test_more_than_ten_samples_stay_in_order() -> None:
    bundle = linear_bundle(1, samples=12)
    golden = Golden.from_bytes(bundle.read(bundle.manifest.golden.file))
    assert golden.samples == 12
    assert np.array_equal(np.stack(golden.raw["ant"]), golden.inputs["ant"]["samples"])


def test_the_first_samples_are_cut_out_of_every_array(archive: bytes) -> None:
    whole = Golden.from_bytes(archive)
    cut = whole.first(2)
    assert cut.samples == 2
    assert cut.inputs["ant"]["samples"].shape == (2, 2)
    assert cut.front_ends["ant"].shape == (2, 2)
    assert cut.embeddings["bee"]["bee"].shape == (2, 2)
    assert cut.presence.shape == whole.presence.shape == (4, 2)
    assert np.array_equal(cut.outputs["level"], whole.outputs["level"][:, :2])


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive", b"\x93NUMPY\x01\x00", bytes(1000)])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match="the golden samples cannot be read"):
        Golden.from_bytes(data)


def test_every_truncated_archive_is_refused(archive: bytes) -> None:
    for end in range(0, len(archive), 101):
        with pytest.raises(ArtefactError):
            Golden.from_bytes(archive[:end])


def test_a_flipped_byte_is_refused_or_harmless_but_never_a_crash(archive: bytes) -> None:
    refused = 0
    for at in range(0, len(archive), 3):
        damaged = bytearray(archive)
        damaged[at] ^= 0xFF
        try:
            Golden.from_bytes(bytes(damaged))
        except ArtefactError:
            refused += 1
    assert refused > len(archive) / 3 / 2


def test_a_pickle_is_never_unpacked(archive: bytes, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    evil = {**members(archive), "output/level.npy": npy([Trap()], pickled=True)}
    with pytest.raises(ArtefactError, match="Object arrays cannot be loaded"):
        Golden.from_bytes(zipped(evil))
    with pytest.raises(ArtefactError):
        Golden.from_bytes(zipped({**members(archive), "output/level.npy": b"\x80\x04N."}))
    assert not (tmp_path / "sprung").exists()


def test_an_archive_that_swells_is_not_unpacked() -> None:
    bomb = zipped({"presence.npy": bytes(257 * 2**20)})
    assert len(bomb) < 2**20
    with pytest.raises(ArtefactError, match="unpack to 269484032 bytes; the most that is read"):
        Golden.from_bytes(bomb)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(10**9,)", "(3,)", "(1,)", "(-2,)", "()"])
def test_an_array_that_promises_what_does_not_follow_is_refused(shape: str, archive: bytes) -> None:
    evil = zipped({**members(archive), "presence.npy": promising(shape)})
    with pytest.raises(ArtefactError, match="the golden samples cannot be read"):
        Golden.from_bytes(evil)
    honest = zipped({**members(archive), "presence.npy": promising("(1, 2)")})
    assert Golden.from_bytes(honest).presence.tolist() == [[False, False]]


@pytest.mark.parametrize(
    "evil",
    [
        {"presence.npy": b"no array"},
        {"rate/ant/0.npy": npy([1, 2])},
        {"rate/ant/0.npy": npy(-5)},
        {"rate/ant/0.npy": npy("fast")},
        {"raw/ant/0.npy": npy("words"), "rate/ant/0.npy": npy(8000)},
    ],
    ids=lambda evil: str(list(evil)),
)
def test_members_of_another_kind_are_refused(evil: dict[str, bytes], archive: bytes) -> None:
    with pytest.raises(ArtefactError, match="the golden samples cannot be read"):
        Golden.from_bytes(zipped({**members(archive), **evil}))


def test_an_archive_without_presence_is_refused(archive: bytes) -> None:
    rest = {name: data for name, data in members(archive).items() if name != "presence.npy"}
    with pytest.raises(ArtefactError, match="presence"):
        Golden.from_bytes(zipped(rest))


@pytest.mark.parametrize(
    "other",
    [
        {"output/level.npy": npy(np.zeros((3, 3, 1), np.float32))},
        {"output/level.npy": npy(np.zeros(4, np.float32))},
        {"output/more.npy": npy(np.zeros((4, 3, 1), np.float32))},
        {"presence.npy": npy(np.ones((4, 3), bool))},
        {"presence.npy": npy(np.ones((0, 2), bool)), "output/level.npy": npy(np.ones((0, 3, 1)))},
        {"raw/ant/3.npy": npy(np.zeros(2, np.float32))},
        {"raw/cow/0.npy": npy(np.zeros(2, np.float32))},
        {"input/ant/samples.npy": npy(np.zeros((3, 3), np.float32))},
        {"input/ant/samples.npy": npy(np.zeros((3, 2), np.float64))},
        {"input/ant/more.npy": npy(np.zeros((3, 2), np.float32))},
        {"embedding/ant/ant.npy": npy(np.zeros((2, 2), np.float32))},
        {"front_end/ant.npy": npy(np.float32(0))},
        {"front_end/cow.npy": npy(np.zeros((3, 2), np.float32))},
    ],
    ids=lambda other: str(list(other)),
)
def test_samples_of_another_model_are_refused(other: dict[str, bytes], archive: bytes) -> None:
    bundle = with_golden(linear_bundle(2), zipped({**members(archive), **other}))
    with pytest.raises(ArtefactError, match="belong to another model than the manifest"):
        load_golden(bundle)


@pytest.mark.parametrize("lost", ["input/ant/samples", "embedding/bee/bee", "raw/ant/2"])
def test_samples_with_a_hole_are_refused(lost: str, archive: bytes) -> None:
    rest = {name: data for name, data in members(archive).items() if name != f"{lost}.npy"}
    with pytest.raises(ArtefactError, match="belong to another model than the manifest"):
        load_golden(with_golden(linear_bundle(2), zipped(rest)))


def test_the_samples_of_whole_bundles_are_taken(demo: Bundle) -> None:
    assert load_golden(demo).samples == demo.manifest.golden.samples
    assert load_golden(linear_bundle(2)).samples == 3
