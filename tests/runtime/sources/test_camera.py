from __future__ import annotations

import errno
import logging
import os
import sys
import time
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.sources import Frame
from mmedge.runtime.sources.camera import Camera, CameraConfig
from mmedge.runtime.sources.capture import _why_not
from mmedge.runtime.sources.view import View
from tests.runtime.sources.fake_cv2 import FakeCv2, fourcc, picture, stamped

SECRET = "rtsp://admin:geheim@10.0.0.9:554/live?token=abc"
MS = 1_000_000


def opened(monkeypatch: pytest.MonkeyPatch, cv2: FakeCv2, **config: Any) -> Camera:
    monkeypatch.setitem(sys.modules, "cv2", cv2)  # type: ignore[arg-type]
    camera = Camera(CameraConfig(**config))
    camera.open()
    return camera


def test_a_frame_is_bgr_and_carries_the_drivers_time(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = opened(monkeypatch, FakeCv2(stamped([40], picture())))
    now_ns = time.monotonic_ns()
    frame = camera.read()
    assert isinstance(frame, Frame)
    assert frame.order == "bgr"
    assert frame.pixels.tobytes() == bytes(range(72))
    assert -41 * MS < frame.time_ns - now_ns < -30 * MS


@pytest.mark.parametrize("age_ms", [5_000, -3_000, 1e9])
def test_a_drivers_time_that_is_far_off_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, age_ms: float
) -> None:
    camera = opened(monkeypatch, FakeCv2(stamped([age_ms], picture())))
    frame = camera.read()
    assert frame is not None
    assert abs(frame.time_ns - time.monotonic_ns()) < 50 * MS


def test_a_frame_is_never_from_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = opened(monkeypatch, FakeCv2(stamped([-500], picture())))
    frame = camera.read()
    assert frame is not None
    assert frame.time_ns <= time.monotonic_ns()


def test_old_frames_after_a_pause_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = [10, 9_000, 8_967, 1_900, 1_100, 10]
    camera = opened(monkeypatch, FakeCv2(stamped(ages, picture())))
    came = [camera.read() is not None for _ in ages]
    assert came == [True, False, False, False, False, True]
    assert camera.stale == 4


def test_a_clock_that_stays_behind_ends_in_time_of_arrival(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    camera = opened(monkeypatch, FakeCv2(stamped([10] + 40 * [60_000], picture())))
    frames = [camera.read() for _ in range(41)]
    assert [frame is not None for frame in frames] == [True] + 32 * [False] + 8 * [True]
    assert frames[-1] is not None
    assert abs(frames[-1].time_ns - time.monotonic_ns()) < 50 * MS
    assert [each.getMessage() for each in caplog.records] == [
        "camera 0: the driver's clock is 60.0 s off; arrival counts"
    ]


def test_only_v4l2s_time_is_believed_and_a_known_delay_is_taken_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = FakeCv2(stamped([10, 10], picture()), backend="FFMPEG")
    camera = opened(monkeypatch, cv2, device="http://10.0.0.9/mjpeg", delay_ms=300)
    frame = camera.read()
    assert frame is not None
    assert abs(frame.time_ns + 300 * MS - time.monotonic_ns()) < 5 * MS


def test_format_comes_before_size_and_rate_and_what_is_granted_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cv2 = FakeCv2(grants={FakeCv2.CAP_PROP_FPS: 15})
    monkeypatch.setitem(sys.modules, "cv2", cv2)  # type: ignore[arg-type]
    config = CameraConfig(device="0", format="MJPG", width=1280, height=720, rate_hz=60)
    with caplog.at_level(logging.WARNING):
        granted = Camera(config).open()
    assert cv2.asked == [(6, fourcc("MJPG")), (3, 1280), (4, 720), (5, 60)]
    assert granted == "1280x720 MJPG at 15 Hz (asked for 1280x720 MJPG at 60 Hz)"
    assert "grants 1280x720 MJPG at 15 Hz" in caplog.text
    assert cv2.opened == [(0, FakeCv2.CAP_V4L2)]


def test_what_was_granted_as_asked_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", FakeCv2())  # type: ignore[arg-type]
    camera = Camera(CameraConfig(width=640, height=480, rate_hz=25))
    assert camera.open() == "640x480 YUYV at 25 Hz"


@pytest.mark.parametrize(
    ("device", "path"),
    [
        ("usb-Acme_Cam-video-index0", "/dev/v4l/by-id/usb-Acme_Cam-video-index0"),
        ("/dev/v4l/by-id/usb-Acme", "/dev/v4l/by-id/usb-Acme"),
    ],
)
def test_a_camera_is_opened_by_id_or_path(
    monkeypatch: pytest.MonkeyPatch, device: str, path: str
) -> None:
    cv2 = FakeCv2()
    assert opened(monkeypatch, cv2, device=device).name == f"camera {device}"
    assert cv2.opened == [(path, FakeCv2.CAP_V4L2)]


def test_a_stream_has_time_outs_and_low_latency_for_the_time_of_opening_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    cv2 = FakeCv2(backend="FFMPEG")
    opened(monkeypatch, cv2, device=SECRET, timeout_ms=1_500)
    assert cv2.opened == [(SECRET, FakeCv2.CAP_FFMPEG, [53, 3_000, 54, 1_500, 70, 1])]
    assert cv2.options == ["rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"]
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ


def test_the_users_own_options_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp")
    cv2 = FakeCv2(backend="FFMPEG")
    opened(monkeypatch, cv2, device=SECRET)
    assert cv2.options == ["rtsp_transport;udp"]
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;udp"


def test_a_password_is_neither_in_the_name_nor_in_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = FakeCv2(opens=False)
    with pytest.raises(SourceError, match="user or password are wrong") as caught:
        opened(monkeypatch, cv2, device=SECRET)
    camera = Camera(CameraConfig(device=SECRET))
    assert camera.name == "camera rtsp://10.0.0.9:554/live?..."
    assert "geheim" not in f"{caught.value}{camera.name}"
    assert "rtsp://10.0.0.9:554/live?..." in str(caught.value)
    assert cv2.released == 1


def test_a_camera_that_is_not_there_is_an_error_that_names_its_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SourceError, match=r"/dev/video93: No such file .* `mmedge devices`"):
        opened(monkeypatch, FakeCv2(opens=False), device=93)


@pytest.mark.skipif(sys.platform != "linux", reason="errors of V4L2")
@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EBUSY, "another program has /dev/video3: fuser -v /dev/video3"),
        (errno.EACCES, "you may not use /dev/video3: sudo usermod -aG video"),
        (errno.ENODEV, "/dev/video3: No such device; `mmedge devices` lists what is there"),
    ],
)
def test_why_a_camera_cannot_be_opened_is_said_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "open", refuse)
    assert _why_not(3).startswith(told)


def test_a_csi_camera_needs_an_opencv_with_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"needs an OpenCV with GStreamer.*'GStreamer: NO'"):
        opened(monkeypatch, FakeCv2(gstreamer="NO"), device="csi")


def test_a_csi_camera_is_a_gstreamer_pipeline_that_keeps_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = FakeCv2(gstreamer="YES (1.20.3)", backend="GSTREAMER")
    opened(monkeypatch, cv2, device="csi:1", width=1280, height=720, rate_hz=30)
    (pipeline, backend), *_ = cv2.opened
    assert backend == FakeCv2.CAP_GSTREAMER
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM), ")
    assert "width=1280, height=720, framerate=30000/1000 !" in pipeline
    assert pipeline.endswith("appsink drop=1 max-buffers=1 sync=0")


def test_a_silent_camera_gives_nothing_in_a_tenth_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera = opened(monkeypatch, FakeCv2())
    begin_s = time.monotonic()
    assert camera.read() is None
    assert time.monotonic() - begin_s < 0.3


def test_a_stream_that_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = opened(monkeypatch, FakeCv2(backend="FFMPEG"), device=SECRET)
    with pytest.raises(SourceError, match="gives no more pictures"):
        camera.read()


def test_a_driver_that_reports_an_error_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = opened(monkeypatch, FakeCv2(["select failed"]))
    with pytest.raises(SourceError, match="camera 0 reports an error: it is unplugged"):
        camera.read()


def test_a_stream_may_change_its_size_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps = [*stamped([0], picture(4, 6)), *stamped([0, 0], picture(2, 3))]
    camera = opened(monkeypatch, FakeCv2(steps))
    shapes = [frame.pixels.shape for frame in (camera.read() for _ in range(3)) if frame]
    assert shapes == [(4, 6, 3), (2, 3, 3), (2, 3, 3)]
    assert [each.getMessage() for each in caplog.records] == [
        "camera 0: 3x2 pixels from now on, not 6x4"
    ]


def test_pictures_of_another_type_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = np.zeros((4, 6), np.uint16)
    camera = opened(monkeypatch, FakeCv2(stamped([0], depth)))
    with pytest.raises(SourceError, match=r"gives uint16\[4, 6\]"):
        camera.read()


def test_what_is_not_open_cannot_be_read_and_closing_twice_is_fine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cv2 = FakeCv2(stamped([0, 0], picture()))
    camera = opened(monkeypatch, cv2)
    camera.close()
    camera.close()
    assert cv2.released == 1
    with pytest.raises(SourceError, match="is not open"):
        camera.read()
    camera.open()
    assert camera.read() is not None


def test_the_view_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(rotate=90, crop=(0, 0, 4, 2))
    camera = opened(monkeypatch, FakeCv2(stamped([0], picture(4, 6))), view=view)
    frame = camera.read()
    assert frame is not None
    assert frame.pixels.shape == (2, 4, 3)
    assert frame.pixels.flags.c_contiguous
    assert frame.pixels[0, 0].tolist() == [54, 55, 56]  # was the left bottom corner


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"device": -1}, "device=-1"),
        ({"device": ""}, "device=''"),
        ({"format": "MJPEG"}, "four letters"),
        ({"width": 640}, "give both"),
        ({"width": 0, "height": 0}, "give both"),
        ({"rate_hz": 0.0}, "rate_hz=0.0"),
        ({"delay_ms": -1}, "delay_ms=-1"),
        ({"timeout_ms": 0}, "timeout_ms=0"),
        ({"device": SECRET, "rate_hz": 30}, r"rtsp://10.0.0.9:554/live\?\.\.\. decides itself"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CameraConfig(**wrong)
