from __future__ import annotations

import pytest

from mmedge.runtime.sources.address import is_url, shown


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("0", "0"),
        ("/dev/v4l/by-id/usb-x", "/dev/v4l/by-id/usb-x"),
        ("rtsp://host/cam", "rtsp://host/cam"),
        ("rtsp://user:word@host:554/cam", "rtsp://host:554/cam"),
        ("rtsp://user:w@rd@host/cam", "rtsp://host/cam"),
        ("rtsp://user:w/rd@host/cam", "rtsp://..."),
        ("rtsp://user:w#rd@host/cam", "rtsp://..."),
        ("rtsp://user:w?rd@host/cam", "rtsp://..."),
        ("rtsp://[::1]:8554/cam", "rtsp://[::1]:8554/cam"),
        ("rtsp://[::1/cam", "rtsp://..."),
        ("http://host/video?user=a&pwd=word", "http://host/video?..."),
        ("rtsp://host/user=admin&password=word&channel=1", "rtsp://host/..."),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address: str, expected: str) -> None:
    assert shown(address) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("rtsp://host", True), ("HTTP://host", True), ("0", False), ("a.mp4", False), ("C:/x", False)],
)
def test_a_url_is_told_from_a_path(text: str, expected: bool) -> None:
    assert is_url(text) is expected
