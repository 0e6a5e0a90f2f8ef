"""How the engine of one bundle takes over from that of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from mmedge.runtime.pipeline.engine import Engine
from mmedge.runtime.pipeline.feeds import check_kind
from mmedge.runtime.samples import Line, Sample, SampleKind

__all__ = ["make_fit", "take_over"]


def make_fit(
    engine: Engine,
    fed: Mapping[str, SampleKind],
    samples: Mapping[str, Sample],
    prompts: tuple[Sequence[str], str | Sequence[str]] | None,
    *,
    predicts: bool,
) -> None:
    """Make a fresh engine ready to take over, or close it.

    Args:
        engine: not started.
        fed: modality -> kind of what its source gives.
        samples: the newest of every modality, pushed ones too; the new bundle must take such.
        prompts: the texts to choose from and their templates, if some were set.
        predicts: warm it up as well.

    Raises:
        MmedgeError: it is not fit.
    """
    try:
        for name, kind in fed.items():
            check_kind(name, kind, engine.predictor.bundle)
        for name, sample in samples.items():
            check_kind(name, sample.kind, engine.predictor.bundle)
            engine.rings[name].check(sample)
        if prompts is not None:
            engine.set_prompts(*prompts)
        if predicts:
            engine.warm_up()
    except BaseException:
        engine.close()
        raise


def take_over(old: Engine, engine: Engine, samples: Mapping[str, Sample]) -> None:
    """End the old engine and start the new one; texts that hold and events go on."""
    with ExitStack() as then:  # the last first, and whatever else fails, the new one starts
        then.callback(lambda: engine.start(old.next))
        then.callback(lambda: engine.tracker.follow(old.tracker))
        then.callback(old.close)
        for name, sample in samples.items():
            if isinstance(sample, Line) and name in engine.rings:
                engine.rings[name].push(sample)
