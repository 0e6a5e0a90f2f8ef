from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.pipeline.binding import CameraWishes, Inputs, bind
from mmedge.specs import Image, Modality, Signal, Sound

MODALITIES: dict[str, Modality] = {
    "left": Image(height=8, width=8),
    "right": Image(height=8, width=8),
    "mic": Sound(rate_hz=16_000, window_ms=500, hop_ms=250),
    "motion": Signal(channels=2, rate_hz=10, window_ms=100, hop_ms=100),
}


def bound(**inputs: Any) -> list[tuple[str, dict[str, str]]]:
    """The sources' names, and what they feed."""
    feeds = bind(Inputs(**inputs), MODALITIES)
    return [
        (feed.make().name, {str(kind): name for kind, name in feed.feeds.items()}) for feed in feeds
    ]


def test_a_source_without_a_name_takes_the_first_that_is_free() -> None:
    assert bound(cameras=("0", "left=1"), mics=("default",)) == [
        ("camera 1", {"image": "left"}),
        ("camera 0", {"image": "right"}),
        ("microphone default", {"sound": "mic"}),
    ]


def test_a_stream_feeds_what_it_carries_and_a_camera_goes_first() -> None:
    assert bound(streams=("rtsp://door/live?a=b",), cameras=("0",)) == [
        ("camera 0", {"image": "left"}),
        ("stream rtsp://door/live?...", {"image": "right", "sound": "mic"}),
    ]
    assert bound(streams=("right,mic=rtsp://door/live",)) == [
        ("stream rtsp://door/live", {"image": "right", "sound": "mic"})
    ]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"cameras": ("door=0",)}, "door=0: the model has no modality 'door'; the model has left"),
        ({"cameras": ("mic=0",)}, "'mic' is no image modality, or has a source already"),
        ({"cameras": ("0", "1", "2")}, "2: no image modality is left for it"),
        ({"cameras": ("left=0", "left=1")}, "'left' is no image modality, or has a source"),
        ({"texts": ("-",)}, "-: no text modality is left for it"),
        ({"texts": ("-",), "signals": ("-",)}, "standard input can feed one source"),
        ({"streams": ("left,right=rtsp://a/b",)}, "one picture and one sound come out of it"),
        ({"streams": ("motion=rtsp://a/b",)}, "one picture and one sound come out of it"),
        ({"streams": ("rtsp://a/b",) * 3}, "nothing is left for it to feed"),
        ({"cameras": ("",)}, "device=''; give a camera's index"),
        ({"cameras": ("0",), "wishes": CameraWishes(crop="1,2,3")}, "give left,top,width,height"),
        ({"cameras": ("0",), "wishes": CameraWishes(crop="1,2,3,-4")}, "give left,top,width"),
        ({"cameras": ("0",), "wishes": CameraWishes(crop="1,2,3,0")}, "width and height"),
        ({"cameras": ("0",), "wishes": CameraWishes(crop="1,2,3,²")}, "give left,top,width"),
        ({"cameras": ("0",), "wishes": CameraWishes(rotate=45)}, "rotate=45 degrees; give"),
        ({"cameras": ("0",), "wishes": CameraWishes(flip="up")}, "flip='up'; give one of"),
        ({"cameras": ("0",), "wishes": CameraWishes(size="big")}, "give WIDTHxHEIGHT"),
        ({"cameras": ("0",), "wishes": CameraWishes(size="0x0")}, "give both, in pixels"),
        ({"cameras": ("0",), "wishes": CameraWishes(rate_hz=float("nan"))}, "must lie in 0..1000"),
        ({"cameras": ("0",), "wishes": CameraWishes(format="MJPEG")}, "give four letters"),
    ],
)
def test_what_cannot_be_meant_is_refused(inputs: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bind(Inputs(**inputs), MODALITIES)
    assert told in str(caught.value)


@pytest.mark.parametrize("wish", [{"size": "640x480"}, {"rate_hz": 15.0}, {"format": "MJPG"}])
def test_what_a_stream_cannot_be_asked_for_is_refused(wish: dict[str, Any]) -> None:
    pytest.importorskip("av")
    with pytest.raises(ConfigError, match="door/live: the sender decides about size, rate"):
        bound(cameras=("rtsp://door/live",), wishes=CameraWishes(**wish))


def test_no_message_shows_a_password() -> None:
    secret = "rtsp://admin:secret@door/live"
    for inputs in ({"streams": (secret,) * 3}, {"cameras": (secret,) * 3}):
        with pytest.raises(ConfigError) as caught:
            bind(Inputs(**inputs), MODALITIES)
        assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no file .*none\.mkv to be played"):
        bind(Inputs(files=(str(tmp_path / "none.mkv"),)), MODALITIES)


def test_a_file_whose_name_looks_like_a_modality_can_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.mkv").touch()
    with pytest.raises(ConfigError, match=r"A file of this name is meant by \./a="):
        bind(Inputs(files=("a=b.mkv",)), MODALITIES)
    assert bound(files=("./a=b.mkv",))[0][1] == {"image": "left", "sound": "mic"}


def test_the_demo_takes_a_camera_and_a_microphone(demo: Bundle) -> None:
    feeds = bind(Inputs(cameras=("0",), mics=("default",)), demo.manifest.modalities)
    assert [dict(feed.feeds) for feed in feeds] == [{"image": "camera"}, {"sound": "mic"}]
