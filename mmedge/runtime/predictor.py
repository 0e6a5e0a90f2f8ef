"""The predictor: a bundle, opened to predict from raw frames, sound and text."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from mmedge._closing import Closing
from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import ArtefactError, ConfigError
from mmedge.manifest import FUSION, PRESENCE, Manifest
from mmedge.runtime.backends import Arrays, Backend, open_backend
from mmedge.runtime.backends.signature import same_tensors
from mmedge.runtime.choosing import choose
from mmedge.runtime.decision import decide
from mmedge.runtime.embedding import embed, zeros
from mmedge.runtime.plans import imitates
from mmedge.runtime.prediction import Prediction
from mmedge.runtime.preprocess import make_preprocessors
from mmedge.runtime.prompts import Prompts, make_prompts
from mmedge.runtime.streams import StreamState
from mmedge.runtime.temperatures import Temperatures

__all__ = ["Predictor"]

Array = NDArray[np.generic]


class Predictor(Closing):
    """A model that runs here. It holds sessions: close it, or use it in a ``with``.

    >>> with Predictor.open("digits.mmedge") as predictor:  # doctest: +SKIP
    ...     prediction = predictor.predict(camera=frame, mic=pcm, hint="even")
    ...     print(prediction.tasks["digit"].label)

    What a modality takes (``docs/library.md`` shows each): an image is RGB uint8
    ``[h, w, 3]`` of any size; a sound is float32 PCM in [-1, 1], ``[samples]`` or
    ``[channels, samples]`` at the model's rate, or a ``Pcm`` of any rate; a text is a
    ``str``. One that is left out, or ``None``, is absent.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        backend: str = "cpu",
        plan: str = "fp32",
        threads: int | None = None,
        prompts: Sequence[str] | None = None,
        template: str | Sequence[str] = "{}",
        spin: bool = True,
        measure: bool = True,
    ) -> None:
        """Open a bundle's graphs.

        Args:
            bundle: from `mmedge.open_bundle`.
            backend: what runs the graphs; ``auto`` for what was measured to be fastest here.
            plan: which of the bundle's plans; ``auto`` for the fastest known to be right here.
            threads: CPU threads inside one operator; ``None`` leaves it to the backend.
            prompts: for `set_prompts`, if there are any...
            template: ...with this around each.
            spin: threads wait busily for their next operator: a little faster, and burns a core.
            measure: as for `choose`: the first run of a bundle with ``auto`` takes some seconds.

        Raises:
            ConfigError: no such backend or plan, or prompts that cannot be meant.
            ArtefactError: a file of the bundle is damaged.
            IncompatibleError: the backend cannot run here, or cannot run these graphs.
        """
        self.choice = choose(bundle, backend, plan, threads=threads, measure=measure)
        """Which backend and plan run, and why."""
        if prompts is None and template != "{}":
            raise ConfigError("a template needs prompts to stand around; give some")
        self.bundle, self._spin = bundle, spin
        self.backend, self.plan = self.choice.backend, self.choice.plan
        manifest, made = bundle.manifest, bundle.manifest.plans[self.plan]
        self._preprocess = make_preprocessors(bundle)
        self._fused = {name: manifest.encoder_outputs(name) for name in manifest.modalities}
        self.temperatures = Temperatures(manifest.presence, made.temperatures)
        self._prompts: Prompts | None = None
        self.threads: dict[str, int | None] = dict.fromkeys(made.graphs, threads)
        """CPU threads inside one operator of each graph, by modality and ``fusion``."""
        self.simulated = imitates(made, self.backend)
        """Whether this machine only imitates what the plan was made for."""
        self._graphs: dict[str, Backend] = {}
        try:
            for name in made.graphs:
                self._graphs[name] = self._open(name)
            if prompts is not None:
                self.set_prompts(prompts, template)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path | str, **options: Any) -> Self:
        """Open a bundle's folder; the options are those of the class."""
        return cls(open_bundle(path), **options)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.bundle.manifest

    @property
    def kind(self) -> str:
        """Class of arithmetic, ``cpu`` or ``gpu``, that tolerances are stored for."""
        return self._graphs[FUSION].kind

    def predict(self, inputs: Mapping[str, Any] | None = None, /, **named: Any) -> Prediction:
        """Predict one sample from raw inputs by modality name, contributions included."""
        return self.predict_batch([{**(inputs or {}), **named}])[0]

    def predict_batch(
        self,
        samples: Sequence[Mapping[str, Any]],
        *,
        explain: bool = True,
        streams: Mapping[str, StreamState] | None = None,
    ) -> list[Prediction]:
        """Predict several samples at once; each may lack other modalities.

        Args:
            samples: raw inputs by modality name.
            explain: also compute contributions and conflict, which takes ``2^M`` rows of
                the fusion head per sample.
            streams: modality -> state, where the samples are the consecutive windows of one
                stream (one that lacks the modality resets it); without it each sample stands
                for itself.

        Raises:
            ConfigError: an unknown modality, or an input that is not what it expects.
        """
        if not samples:
            return []
        embeddings = self.embed(samples, streams=streams)
        names = self.manifest.presence
        presence = np.array([[s.get(name) is not None for name in names] for s in samples])
        return self.decide(embeddings, presence, explain=explain)

    def embed(
        self,
        samples: Sequence[Mapping[str, Any]],
        *,
        streams: Mapping[str, StreamState] | None = None,
    ) -> dict[str, Array]:
        """Prepare and encode raw samples; arguments as for `predict_batch`.

        Returns:
            fusion input -> ``[B, ...]``; zeros where a sample lacks the modality.
        """
        return embed(self.manifest, self.prepare, self._encode, samples, streams or {})

    def prepare(self, modality: str, raw: Any) -> dict[str, Array]:
        """Turn one raw input into the arrays that the encoder's graph takes, without batch."""
        return self._preprocess[modality](raw)

    def stream(self, modality: str, batch: int = 1) -> StreamState:
        """Begin a stream (or several, row by row): what its encoder remembers."""
        return StreamState(self.manifest, modality, batch)

    def encode(
        self, modality: str, arrays: Arrays, *, state: StreamState | None = None
    ) -> dict[str, Array]:
        """Run one encoder on a batch.

        Args:
            modality: which one.
            arrays: graph input -> ``[B, ...]``.
            state: from `stream`, carried on to the next window; without it every row begins
                anew.

        Returns:
            fusion input -> ``[B, D]`` or ``[B, T, D]``, and the tokens' mask if there is one.

        Raises:
            ConfigError: the arrays or the state are not this encoder's.
            ArtefactError: the graph fails, on ids that it has no embedding for, say.
        """
        batch = next((len(array) for array in arrays.values() if array.ndim), 0)
        state = self.stream(modality, batch) if state is None else state
        feeds = {**arrays, **state.feeds(modality, batch)}
        try:
            outputs = self._graphs[modality].run(feeds)
        except ArtefactError as exc:
            if self.manifest.modalities[modality].kind != "text":
                raise
            raise ArtefactError(
                f"{exc} Its tokenizer gave ids up to {int(np.max(arrays['ids']))}: if that is more "
                "than the encoder has embeddings, it is another model's tokenizer; export with the "
                "one that the encoder was trained with."
            ) from exc
        names = self._fused[modality]
        return {names[name]: array for name, array in state.keep(outputs).items()}

    def fuse(self, embeddings: Arrays, presence: NDArray[np.bool_]) -> dict[str, Array]:
        """Run the fusion head on a batch.

        Args:
            embeddings: fusion input -> ``[B, ...]``; what stands in an absent slot counts not.
            presence: bool ``[B, M]`` in the manifest's order.

        Returns:
            task -> ``[B, K]``.
        """
        return self._graphs[FUSION].run({**embeddings, PRESENCE: presence})

    def decide(
        self, embeddings: Arrays, presence: NDArray[np.bool_], *, explain: bool = True
    ) -> list[Prediction]:
        """Turn embeddings into predictions; shapes as in `fuse`."""
        # Read once: another thread may set other prompts meanwhile.
        return decide(
            self.manifest,
            self.fuse,
            embeddings,
            presence,
            explain=explain,
            prompts=self._prompts,
            temperatures=self.temperatures,
        )

    def set_prompts(self, texts: Sequence[str], template: str | Sequence[str] = "{}") -> None:
        """Let a matching task choose among texts; they replace the ones before.

        The texts are encoded here, once; nothing is loaded again. From the next prediction
        on the task's scores are those of the prompts, by text. Another thread may predict
        meanwhile: each prediction knows the prompts before or those after.

        Args:
            texts: what to choose from.
            template: holds ``{}`` where each text goes: ``"a photo of {}"``; of several, the
                mean logit counts.

        Raises:
            ConfigError: no matching task with a text, or prompts that cannot be meant.
            ResourceError: too many.
        """
        self._prompts = make_prompts(texts, template, self.manifest, self._preprocess, self.encode)

    def warm_up(self) -> dict[str, float]:
        """Run every graph on zeros: a first run is slower than the others.

        Returns:
            graph -> milliseconds of the faster of the next two.
        """
        took_ms: dict[str, float] = {}
        for name, graph in self._graphs.items():
            feeds = {spec.name: zeros(spec, 1) for spec in graph.spec.inputs}
            if name == FUSION:
                feeds[PRESENCE][:] = True
            times_ns = [time.perf_counter_ns()]
            for _ in range(3):
                graph.run(feeds)
                times_ns.append(time.perf_counter_ns())
            took_ms[name] = min(np.diff(times_ns)[1:].tolist()) / 1e6
        return took_ms

    def reopen(self, name: str, threads: int | None = 0) -> None:
        """Open a graph anew, in place of one that fails or hangs; that one is left alone.

        Args:
            name: the modality of an encoder, or ``fusion``.
            threads: as for the class; 0 leaves them as they were.
        """
        if threads != 0:
            self.threads[name] = threads
        self._graphs[name] = self._open(name)

    def close(self) -> None:
        """Give back what the backends hold."""
        while self._graphs:
            self._graphs.popitem()[1].close()

    def _open(self, name: str) -> Backend:
        model = self.bundle.read(self.manifest.plans[self.plan].graphs[name])
        graph = open_backend(
            self.backend,
            model,
            what=f"graph {name!r}",
            threads=self.threads[name],
            spin=self._spin,
            simulate=self.simulated,
        )
        if not same_tensors(graph.spec, self.manifest.graphs[name]):
            graph.close()
            raise ArtefactError(
                f"graph {name!r} has other inputs or outputs than the manifest's; export it again"
            )
        return graph

    def _encode(self, modality: str, arrays: Arrays, state: StreamState | None) -> dict[str, Array]:
        return self.encode(modality, arrays, state=state)
