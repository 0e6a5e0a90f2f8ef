"""A recording stand-in for TensorRT: it compiles nothing, and remembers what it was told.

That the real ones have these names is seen in ``tests/rtx/test_bindings.py``; what the real
compiler makes of graphs, in ``tests/rtx``.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import onnx

from mmedge.engines.driver import Driver, Gpu
from mmedge.engines.toolkit import Toolkit

ORIN = Gpu(name="Orin", capability=(8, 7), memory_bytes=8 * 2**30, uuid="GPU-0")
DRIVER = Driver(version=(12, 6), kernel="540.4.0", gpus=(ORIN,))


class Settings:
    """An ``IBuilderConfig``."""

    num_compute_capabilities = 0

    def __init__(self, cannot_on_dla: Sequence[str]) -> None:
        self.told: dict[str, Any] = {}
        self.progress_monitor: Any = None
        self.default_device_type: str | None = None
        self.DLA_core: int | None = None
        self._cannot = cannot_on_dla

    def clear_flag(self, flag: str) -> None:
        self.told[flag] = False

    def set_flag(self, flag: str) -> None:
        self.told[flag] = True

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.told[pool] = size

    def add_optimization_profile(self, profile: Any) -> None:
        self.told["profile"] = profile.shapes

    def set_compute_capability(self, capability: str, index: int) -> None:
        assert index < self.num_compute_capabilities
        self.told["capability"] = capability

    def can_run_on_DLA(self, layer: Any) -> bool:  # noqa: N802 - TensorRT's name
        return layer.name not in self._cannot


class TimedSettings(Settings):
    """One of a TensorRT that keeps what it has measured: a dot for each build."""

    def __init__(self, cannot_on_dla: Sequence[str]) -> None:
        super().__init__(cannot_on_dla)
        self.given: list[bytes] = []
        self.timings: bytes | None = None

    def create_timing_cache(self, serialized: bytes) -> Any:
        self.given.append(serialized)
        return None if serialized == b"not mine" else SimpleNamespace(content=serialized)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if ignore_mismatch or cache.content == b"another's":
            return False
        self.timings = cache.content + b"."
        return True

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.timings)


class Shapes:
    """An ``IOptimizationProfile``."""

    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, low: Any, mid: Any, high: Any) -> None:
        self.shapes[name] = (low, mid, high)


class Network:
    """An ``INetworkDefinition``, of a graph that takes ``x``."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]]) -> None:
        self.inputs = [SimpleNamespace(name=n, shape=shape) for n, shape in inputs.items()]
        self.layers = [SimpleNamespace(name=name) for name in ("conv", "relu", "softmax")]
        self.num_inputs, self.num_layers = len(self.inputs), len(self.layers)

    def get_input(self, index: int) -> Any:
        return self.inputs[index]

    def get_layer(self, index: int) -> Any:
        return self.layers[index]


class FakeTensorRT:
    """The module.

    Args:
        inputs: of the network that its parser reads out of any file; ``None`` to read the file.
        layers: what its inspector says of any engine.
        refuses: an error of the parser; empty if it takes the file.
        fails: what the compiler says before it gives up; empty if it does not.
        starts: whether there is a ``Builder`` to be had.
        interrupted: signal that comes while it compiles.
        dla_cores: of the board.
        opens: whether its engines can be opened again.
        says: a warning of a thread of the compiler's own.
        timed: whether it keeps what it has measured.
        listing: what it prints of the layers, where it compiles ahead of time; empty if it
            cannot.
    """

    __version__ = "10.3.0"

    def __init__(
        self,
        inputs: Mapping[str, tuple[int, ...]] | None = None,
        *,
        layers: Sequence[Mapping[str, Any]] = (),
        refuses: str = "",
        fails: str = "",
        starts: bool = True,
        interrupted: int = 0,
        dla_cores: int = 0,
        opens: bool = True,
        says: str = "",
        timed: bool = False,
        listing: str = "",
        weak: bool = True,
        strong: bool = True,
    ) -> None:
        self.builds = 0
        self.network_flags: int | None = None
        self.settings = (TimedSettings if timed else Settings)(cannot_on_dla=("softmax",))
        self.opened: list[bytes] = []
        names = {"TF32": "TF32", "GPU_FALLBACK": "GPU_FALLBACK"}
        self.BuilderFlag = SimpleNamespace(**names, **({"FP16": "FP16"} if weak else {}))
        self.NetworkDefinitionCreationFlag = SimpleNamespace(
            **({"STRONGLY_TYPED": 1} if strong else {})
        )
        self.ProfilingVerbosity = SimpleNamespace(DETAILED="DETAILED")
        self.MemoryPoolType = SimpleNamespace(WORKSPACE="WORKSPACE")
        self.DeviceType = SimpleNamespace(DLA="DLA")
        self.LayerInformationFormat = SimpleNamespace(JSON="JSON")
        self.ILogger = type("ILogger", (), {"INTERNAL_ERROR": 0, "ERROR": 1, "WARNING": 2})
        self.IProgressMonitor = type("IProgressMonitor", (), {})
        self.IBuilderConfig = Settings
        self._inputs = inputs
        self._layers, self._refuses, self._fails = layers, refuses, fails
        self.interrupted = interrupted
        self._starts, self._dla_cores, self._listing = starts, dla_cores, listing
        self._opens, self._says = opens, says
        if listing:
            self.ComputeCapability = SimpleNamespace(SM86="SM86")

    def Builder(self, listener: Any) -> Any:  # noqa: N802
        if not self._starts:
            listener.log(1, "CUDA initialization failure with error: 35")
            raise TypeError("factory function returned nullptr")

        def create_network(flags: int) -> Network:
            self.network_flags = flags
            return Network(self._inputs or {})

        def build(network: Network, settings: Settings) -> bytes | None:
            self.builds += 1
            monitor = settings.progress_monitor
            monitor.phase_start("Building engine", None, 4)
            for step in range(4):
                if self.interrupted and step == 2:
                    signal.raise_signal(self.interrupted)
                if not monitor.step_complete("Building engine", step):
                    listener.log(1, "Build canceled by user")
                    return None
            monitor.phase_finish("Building engine")
            if self._says:
                own = threading.Thread(target=listener.log, args=(2, self._says))
                own.start()
                own.join()
            if self._fails:
                listener.log(1, self._fails)
                return None
            listener.log(4, self._listing)
            return b"an engine"

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=lambda: self.settings,
            create_optimization_profile=Shapes,
            build_serialized_network=build,
            num_DLA_cores=self._dla_cores,
        )

    def OnnxParser(self, network: Any, listener: Any) -> Any:  # noqa: N802
        error = SimpleNamespace(
            desc=lambda: self._refuses, node_name=lambda: "", node_operator=lambda: "DFT"
        )

        def parse(model: bytes) -> bool:
            if self._inputs is None:
                network.__init__(_inputs_of(model))
            return not self._refuses

        return SimpleNamespace(parse=parse, num_errors=1, get_error=lambda index: error)

    def Runtime(self, listener: Any) -> Any:  # noqa: N802
        if not self._opens:
            listener.log(1, "CUDA initialization failure with error: 35")
            raise TypeError("factory function returned nullptr")

        def open_engine(engine: bytes) -> Any:
            self.opened.append(engine)
            text = json.dumps({"Layers": list(self._layers)})
            inspector = SimpleNamespace(get_engine_information=lambda kind: text)
            return SimpleNamespace(create_engine_inspector=lambda: inspector)

        return SimpleNamespace(deserialize_cuda_engine=open_engine, DLA_core=None)


def _inputs_of(model: bytes) -> dict[str, tuple[int, ...]]:
    return {
        each.name: tuple(axis.dim_value or -1 for axis in each.type.tensor_type.shape.dim)
        for each in onnx.load_from_string(model).graph.input
    }


def toolkit_of(fake: FakeTensorRT) -> Toolkit:
    return Toolkit(name="tensorrt", trt=fake, version=fake.__version__, driver=DRIVER)
