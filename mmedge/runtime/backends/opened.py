"""A graph that a backend has opened: what is checked whoever computes, and in the same words."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmedge._closing import Closing
from mmedge._memory import lacks_memory
from mmedge.errors import ArtefactError, MmedgeError, ResourceError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.signature import check_feeds, check_results, fits, wanted_of
from mmedge.runtime.backends.tables import Table, check_indices
from mmedge.specs import GraphSpec

__all__ = ["Opened", "no_memory"]


class Opened(Closing):
    """Has what the `Backend` protocol asks for; a backend adds how to compute and to close.

    Args:
        what: the graph, for error messages.
        spec: its inputs and outputs.
        tables: those of whose ends the backend itself takes no notice, see `check_indices`.
    """

    kind: Literal["cpu", "gpu"]

    def __init__(self, what: str, spec: GraphSpec, tables: Sequence[Table] = ()) -> None:
        self._what = what
        self._spec = spec
        self._tables = tables
        self._names = [each.name for each in spec.outputs]
        self._wanted = wanted_of(spec)
        self._closed = False

    @property
    def spec(self) -> GraphSpec:
        """Inputs and outputs of the graph."""
        return self._spec

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run once, with any batch.

        Raises:
            ConfigError: an input is missing, unknown, or of another type or shape.
            ArtefactError: the graph fails on inputs that fit its signature.
            IncompatibleError: the device, or what drives it, fails.
            ResourceError: the memory does not suffice.
        """
        if self._closed:
            raise RuntimeError(f"{self._what} was closed; open it again to run it")
        if not fits(feeds, self._wanted):
            check_feeds(self._what, self._spec, feeds)
        batch = len(next(iter(feeds.values())))
        if self._tables:
            try:
                check_indices(self._tables, feeds)
            except ValueError as exc:
                raise self._failed(batch, exc, str(exc)) from exc
        outputs = self._run(feeds, batch)
        check_results(self._what, self._spec, outputs, batch)
        return outputs

    def close(self) -> None:
        """Give the memory back, and the device."""
        if not self._closed:
            self._closed = True
            self._release()

    @abstractmethod
    def _run(self, feeds: Arrays, batch: int) -> dict[str, NDArray[np.generic]]:
        """Compute the outputs, which are the caller's; the feeds fit, and have so many rows."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what is held; called once."""

    def _failed(self, batch: int, exc: Exception, why: str) -> MmedgeError:
        """Make the error of a graph that fails on what fits; ``why`` is the line that tells."""
        if lacks_memory(str(exc)):
            return no_memory(self._what, self.kind, why)
        return ArtefactError(f"{self._what} fails on a batch of {batch}: {why}. Export it again.")


def no_memory(what: str, kind: Literal["cpu", "gpu"], why: str) -> ResourceError:
    """Make the error of memory that does not suffice to open a graph, or to run it."""
    where, instead = "the memory", ""
    if kind == "gpu":
        where, instead = "the GPU's memory", ", or take --backend cpu"
    return ResourceError(
        f"{what}: {where} does not suffice: {why}. Close what else uses it{instead}."
    )
