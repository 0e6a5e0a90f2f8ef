"""Devices made of software, for every live test that wants them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import pulse


@pytest.fixture
def sound_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[pulse.PulseServer]:
    """A running PulseAudio with the sinks ``mic`` and ``other``, the one that clients find."""
    if reason := pulse.missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="pulse") as folder:
        server = pulse.PulseServer(Path(folder))
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        try:
            server.start()
            yield server
        finally:
            server.kill()
