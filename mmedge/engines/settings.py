"""What the compiler is told beside the graph; each feature is looked for before it is used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmedge.engines.config import BuildConfig
from mmedge.engines.profiles import Profile
from mmedge.engines.toolkit import Toolkit
from mmedge.errors import IncompatibleError

__all__ = ["give_timings", "make_settings", "network_flags", "take_timings", "use_dla"]

AHEAD_BYTES = 2 * 2**30
"""Workspace for a GPU that is not here to be asked for its memory."""
SHOWN = 5


def network_flags(toolkit: Toolkit) -> int:
    """Give the flags of a strongly typed network.

    Raises:
        IncompatibleError: this TensorRT has only weakly typed ones, and would be free to
            compute in another precision than the graph's.
    """
    if not hasattr(toolkit.trt.BuilderFlag, "FP16"):
        return 0  # it knows no others
    flags = toolkit.trt.NetworkDefinitionCreationFlag
    if not hasattr(flags, "STRONGLY_TYPED"):
        raise IncompatibleError(
            f"TensorRT {toolkit.version} has no strongly typed networks: it may compute in another "
            "precision than the plan's. mmedge needs TensorRT 10.3 or newer (JetPack 6)."
        )
    return 1 << int(flags.STRONGLY_TYPED)


def make_settings(builder: Any, profile: Profile, config: BuildConfig, toolkit: Toolkit) -> Any:
    """Make the ``IBuilderConfig``.

    Raises:
        IncompatibleError: this TensorRT lacks what is asked for.
    """
    trt = toolkit.trt
    settings = builder.create_builder_config()
    settings.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for the audit
    settings.clear_flag(trt.BuilderFlag.TF32)  # it rounds factors to 10 bits: no float32
    settings.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _workspace(config, toolkit))
    optimisation = builder.create_optimization_profile()
    for name, each in profile.inputs.items():
        optimisation.set_shape(name, each.min, each.opt, each.max)
    settings.add_optimization_profile(optimisation)
    if config.ahead_of_time is not None:
        _compile_for(settings, config.ahead_of_time, toolkit)
    return settings


def use_dla(settings: Any, builder: Any, network: Any, core: int, toolkit: Toolkit) -> str:
    """Give the DLA what it can run, and say what stays on the GPU.

    Raises:
        IncompatibleError: this board, or this TensorRT, has no such DLA.
    """
    there = getattr(builder, "num_DLA_cores", 0)
    if core >= there:
        raise IncompatibleError(
            f"TensorRT {toolkit.version} finds {there} DLA cores here, and dla_core={core} is "
            "asked for (they count from 0). Build without it."
        )
    trt = toolkit.trt
    settings.default_device_type = trt.DeviceType.DLA
    settings.DLA_core = core
    settings.set_flag(trt.BuilderFlag.GPU_FALLBACK)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    left = [layer.name for layer in layers if not settings.can_run_on_DLA(layer)]
    return (
        f"DLA core {core} runs {len(layers) - len(left)} of {len(layers)} layers; on the GPU "
        f"stay {_shown(left)}"
    )


def give_timings(settings: Any, timings: bytes) -> None:
    """Give the compiler what it measured before, where it takes any.

    What does not fit it is left out: then it measures anew.
    """
    if not hasattr(settings, "create_timing_cache"):
        return
    for content in (timings, b"") if timings else (b"",):
        timing_cache = settings.create_timing_cache(content)
        if timing_cache is not None and settings.set_timing_cache(timing_cache, False):
            return


def take_timings(settings: Any) -> bytes:
    """Take what the compiler has measured, the old with the new; nothing where it tells none."""
    if not hasattr(settings, "create_timing_cache"):
        return b""
    timing_cache = settings.get_timing_cache()
    return b"" if timing_cache is None else bytes(timing_cache.serialize())


def _compile_for(settings: Any, target: str, toolkit: Toolkit) -> None:
    if not toolkit.compiles_ahead:
        raise IncompatibleError(
            f"{toolkit.name} {toolkit.version} compiles for the GPU of this machine only; ahead of "
            "time it takes TensorRT-RTX: pip install 'mmedge[rtx]'"
        )
    settings.num_compute_capabilities = 1
    capability = _feature(toolkit.trt.ComputeCapability, target.upper(), toolkit)
    settings.set_compute_capability(capability, 0)


def _workspace(config: BuildConfig, toolkit: Toolkit) -> int:
    if config.workspace_bytes is not None:
        return config.workspace_bytes
    if toolkit.driver is None:
        return AHEAD_BYTES
    return toolkit.driver.gpus[0].memory_bytes // 4


def _feature(group: Any, name: str, toolkit: Toolkit) -> Any:
    if not hasattr(group, name):
        raise IncompatibleError(f"{toolkit.name} {toolkit.version} has no {name}; build without it")
    return getattr(group, name)


def _shown(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return (", ".join(listed[:SHOWN]) or "none") + more
