"""Which microphones there are, and what they can do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from mmedge.errors import SourceError
from mmedge.runtime.sources.microphone_process import MicrophoneProcess
from mmedge.runtime.sources.pulse import PREFIX, pulse_sources

__all__ = ["MicrophoneInfo", "list_microphones"]

LISTING_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MicrophoneInfo:
    """One device that records.

    Attributes:
        index: PortAudio's number; ``None`` for a source of the sound server.
        name: how to name it in `MicrophoneConfig`.
        host_api: ``ALSA``, ``PulseAudio``, ``Core Audio`` and so on.
        channels: how many it has.
        default_rate_hz: its own rate.
        rates_hz: which of the usual rates it opens; empty while it is busy.
        default: it is what ``default`` means.
    """

    index: int | None
    name: str
    host_api: str
    channels: int
    default_rate_hz: int
    rates_hz: tuple[int, ...]
    default: bool = False


def list_microphones() -> tuple[MicrophoneInfo, ...]:
    """Ask PortAudio, in a process of its own, and the sound server.

    Raises:
        SourceError: PortAudio does not answer.
        MissingDependencyError: sounddevice or PortAudio is not installed.
    """
    with MicrophoneProcess("the list of microphones", {"what": "list"}) as process:
        message = process.receive(LISTING_S)
    if message is None:
        raise SourceError(
            f"the list of microphones: PortAudio gave none within {LISTING_S:.0f} s; a driver or "
            "the sound server hangs"
        )
    found = [
        MicrophoneInfo(**{**each, "rates_hz": tuple(each["rates_hz"])})
        for each in json.loads(message[1])
    ]
    server = next((each for each in found if each.name == "pulse"), None)
    if server is not None:
        found += [_of_server(each, server) for each in pulse_sources()]
    return tuple(found)


def _of_server(source: dict[str, object], server: MicrophoneInfo) -> MicrophoneInfo:
    """Describe a source of the sound server, which converts to any rate.

    Its format is written as ``s16le 2ch 48000Hz``.
    """
    _, channels, rate_hz = str(source["sample_specification"]).split()
    return MicrophoneInfo(
        index=None,
        name=f"{PREFIX}{source['name']}",
        host_api="PulseAudio",
        channels=int(channels.removesuffix("ch")),
        default_rate_hz=int(rate_hz.removesuffix("Hz")),
        rates_hz=server.rates_hz,
    )
