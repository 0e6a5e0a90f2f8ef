"""What an engine is kept under: everything that makes it this one and no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import Self

from mmedge.engines.toolkit import Toolkit

__all__ = ["BUILDER", "EngineRequest", "Place"]

BUILDER = 1
"""Of mmedge's own builder, checks and audit: counted up when these would build or accept other
engines than before, so that what they have kept is built again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an engine runs: one built for another place is not tried.

    Attributes:
        toolkit: ``tensorrt`` or ``tensorrt_rtx``.
        version: the toolkit's.
        gpu: name, as the driver says it.
        capability: compute capability.
        uuid: of this very device, as the driver says it; empty where it says none.
        driver: its version, and the newest CUDA that it runs.
    """

    toolkit: str
    version: str
    gpu: str
    capability: tuple[int, int]
    uuid: str
    driver: str

    @classmethod
    def of(cls, toolkit: Toolkit) -> Self:
        """Give the first GPU of this machine, which is the one that engines are built for.

        Args:
            toolkit: opened with the need of a GPU.
        """
        driver = toolkit.driver
        if driver is None:
            raise RuntimeError(f"{toolkit.name} was opened without asking the driver")
        cuda = "CUDA " + ".".join(map(str, driver.version))
        return cls(
            toolkit=toolkit.name,
            version=toolkit.version,
            gpu=driver.gpus[0].name,
            capability=driver.gpus[0].capability,
            uuid=driver.gpus[0].uuid,
            driver=f"{driver.kernel}, {cuda}" if driver.kernel else cuda,
        )

    def __str__(self) -> str:
        major, minor = self.capability
        return f"{self.gpu} ({major}.{minor}), driver {self.driver}, {self.toolkit} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """One engine.

    Attributes:
        graph: name in the bundle, for people.
        model_sha256: of the graph's file, weights included.
        plan: name of the plan that the file belongs to.
        profile: input -> least, tuned-for and largest shape; plain JSON.
        flags: what the builder was told beside; plain JSON.
        place: where it is to run.
        builder: `BUILDER` of the mmedge that built it.
    """

    graph: str
    model_sha256: str
    plan: str
    profile: Mapping[str, Any]
    flags: Mapping[str, Any]
    place: Place
    builder: int = BUILDER

    @property
    def key(self) -> str:
        """Give 64 hexadecimal digits that no request for another engine has."""
        fields = {name: value for name, value in self.to_json().items() if name != "graph"}
        return hashlib.sha256(_canonical(fields).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        place = asdict(self.place)
        return {
            "graph": self.graph,
            "model_sha256": self.model_sha256,
            "plan": self.plan,
            "profile": dict(self.profile),
            "flags": dict(self.flags),
            "place": {**place, "capability": list(self.place.capability)},
            "builder": self.builder,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave."""
        place = fields["place"]
        major, minor = place["capability"]
        return cls(**{**fields, "place": Place(**{**place, "capability": (major, minor)})})

    def replaces(self, other: EngineRequest) -> bool:
        """Tell whether the other's engine is of no more use once there is this one's."""
        return _seat(self) == _seat(other)

    def differences(self, other: EngineRequest) -> str:
        """Say, for people, in what the other was another."""
        mine, theirs = self.to_json(), other.to_json()
        words = [
            f"{name} is {value}, and was {theirs['place'][name]}"
            for name, value in mine["place"].items()
            if value != theirs["place"][name]
        ]
        words += [
            f"its {name} {'are' if name == 'flags' else 'is'} another"
            for name in ("profile", "flags", "plan", "model_sha256", "builder")
            if _canonical(mine[name]) != _canonical(theirs[name])
        ]
        return "; ".join(words)


def _seat(request: EngineRequest) -> tuple[Any, ...]:
    """Give what an update of mmedge, TensorRT or the driver, and other flags, leave as it is."""
    place = request.place
    return (
        request.model_sha256,
        request.plan,
        place.toolkit,
        place.gpu,
        place.capability,
        place.uuid,
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
