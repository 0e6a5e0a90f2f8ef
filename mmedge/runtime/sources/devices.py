"""Which cameras and microphones this machine has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mmedge.errors import MmedgeError
from mmedge.runtime.sources.cameras import CameraInfo, list_cameras
from mmedge.runtime.sources.microphones import MicrophoneInfo, list_microphones

__all__ = ["Devices", "list_devices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What was found.

    Attributes:
        cameras: each with its formats.
        microphones: each with its rates.
        problems: what could not be looked for, and why; with the remedy.
    """

    cameras: tuple[CameraInfo, ...]
    microphones: tuple[MicrophoneInfo, ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return asdict(self)


def list_devices() -> Devices:
    """Look for cameras and microphones; what cannot be looked for is said, and not raised."""
    problems: list[str] = []
    cameras: tuple[CameraInfo, ...] = ()
    microphones: tuple[MicrophoneInfo, ...] = ()
    try:
        cameras = list_cameras()
    except MmedgeError as exc:
        problems.append(str(exc))
    try:
        microphones = list_microphones()
    except MmedgeError as exc:
        problems.append(str(exc))
    return Devices(cameras=cameras, microphones=microphones, problems=tuple(problems))
