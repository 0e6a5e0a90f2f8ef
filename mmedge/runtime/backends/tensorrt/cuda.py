"""The few calls of CUDA that running an engine takes, and their errors in our words."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge._closing import Closing
from mmedge.engines.toolkit import Toolkit
from mmedge.errors import IncompatibleError, MissingDependencyError, MmedgeError, ResourceError

__all__ = ["Cuda", "Memory", "open_cuda"]

Array = NDArray[np.generic]

# cudaError_t (driver_types.h)
_NO_MEMORY, _OLD_DRIVER = 2, 35
_LOG = logging.getLogger(__name__)


def open_cuda(toolkit: Toolkit) -> Cuda:
    """Load CUDA's runtime, after the driver has answered.

    Raises:
        MissingDependencyError: cuda-python is not installed.
        IncompatibleError: it cannot be loaded.
    """
    module = "cuda.bindings.runtime"
    try:
        runtime = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if not module.startswith(str(exc.name)):
            raise
        raise MissingDependencyError(  # others install parts of 'cuda', so that may be there
            f"an engine of {toolkit.name} needs the package 'cuda-python' 12.6.1 or newer, which "
            "is not installed. Install it with: pip install 'mmedge[tensorrt]'"
        ) from exc
    except (ImportError, OSError, RuntimeError) as exc:
        raise IncompatibleError(
            f"the package 'cuda-python' is installed, but cannot be loaded: {exc}. Install it "
            "again, for the CUDA that the driver here runs."
        ) from exc
    driver = toolkit.driver.version if toolkit.driver else ()
    return Cuda(runtime, ".".join(map(str, driver)))


class Cuda:
    """CUDA's runtime.

    Args:
        runtime: the module ``cuda.bindings.runtime``, whose functions give a code and then
            what they make.
        driver: the newest CUDA that the driver runs, for error messages.
    """

    def __init__(self, runtime: Any, driver: str) -> None:
        self._runtime = runtime
        self._driver = driver
        kinds = runtime.cudaMemcpyKind
        self._in, self._out = kinds.cudaMemcpyHostToDevice, kinds.cudaMemcpyDeviceToHost

    def open_stream(self) -> Any:
        """Make a stream that waits for no other."""
        flags = self._runtime.cudaStreamNonBlocking
        return self._call("cudaStreamCreateWithFlags", flags)

    def close_stream(self, stream: Any) -> None:
        """Give a stream back; nothing may be under way on it."""
        self._call("cudaStreamDestroy", stream)

    def allocate(self, size_bytes: int) -> int:
        """Give the address of a block on the GPU."""
        return int(self._call("cudaMalloc", size_bytes))

    def free(self, address: int) -> None:
        """Give a block back."""
        self._call("cudaFree", address)

    def copy_in(self, address: int, array: Array, stream: Any) -> None:
        """Begin to copy a contiguous array to the GPU; it must live until `wait`."""
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, self._in, stream)

    def copy_out(self, array: Array, address: int, stream: Any) -> None:
        """Begin to copy from the GPU into a contiguous array; it is filled after `wait`."""
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, self._out, stream)

    def wait(self, stream: Any) -> None:
        """Wait until all that was begun on the stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def _call(self, function: str, *arguments: Any) -> Any:
        code, *made = getattr(self._runtime, function)(*arguments)
        if int(code) != 0:
            raise self._error(function, code, arguments)
        return made[0] if made else None

    def _error(self, function: str, code: Any, arguments: tuple[Any, ...]) -> MmedgeError:
        text = self._runtime.cudaGetErrorString(code)[1]
        words = f"{function}: {text.decode() if text else 'no reason given'} ({int(code)})"
        if int(code) == _NO_MEMORY:
            asked = f", asked for {arguments[0]} bytes" if function == "cudaMalloc" else ""
            return ResourceError(
                f"the GPU's memory is used up{asked} ({words}). Close what else uses it, or "
                "build for fewer rows: mmedge build --max-batch."
            )
        if int(code) == _OLD_DRIVER:
            return IncompatibleError(
                f"the driver here runs CUDA up to {self._driver}, and the package 'cuda-python' is "
                f"for a newer one ({words}). Install that of the driver's CUDA: pip install "
                f"'cuda-python=={self._driver.partition('.')[0]}.*'"
            )
        return IncompatibleError(
            f"CUDA fails, {words}. After some errors a process cannot use the GPU any more: start "
            "it again, and see 'dmesg' for lines of NVRM."
        )


class Memory(Closing):
    """Blocks on the GPU by name: each as large as was ever asked for, and only then made anew."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._blocks: dict[str, tuple[int, int]] = {}

    def at(self, name: str, size_bytes: int) -> int:
        """Give the address of a block of at least so many bytes; nothing may be under way on it."""
        address, held_bytes = self._blocks.get(name, (0, 0))
        if size_bytes > held_bytes:
            if held_bytes:
                del self._blocks[name]
                self._cuda.free(address)
            address = self._cuda.allocate(size_bytes)
            self._blocks[name] = (address, size_bytes)
        return address

    def close(self) -> None:
        """Give all blocks back."""
        while self._blocks:
            address, _ = self._blocks.popitem()[1]
            try:
                self._cuda.free(address)
            except MmedgeError as exc:  # after some errors nothing works any more
                _LOG.warning("a block on the GPU was not given back: %s", exc)
