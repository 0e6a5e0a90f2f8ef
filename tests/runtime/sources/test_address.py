from __future__ import annotations

import pytest

from mmedge.runtime.sources.address import is_url, scrubbed, shown


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


def test_a_message_of_somebody_else_is_shown_without_its_secrets() -> None:
    told = "[Errno 5] cannot open 'rtsp://admin:geheim@10.0.0.9:554/live?token=abc', tried 3 times"
    assert scrubbed(told) == ("[Errno 5] cannot open 'rtsp://10.0.0.9:554/live?...', tried 3 times")
    assert scrubbed("nothing to hide: 5/6") == "nothing to hide: 5/6"
