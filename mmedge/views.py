"""What a person sees on the terminal: progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from mmedge.bundle import Bundle
    from mmedge.demo import DemoResult
    from mmedge.proof import Parity, SubsetMetrics
    from mmedge.runtime.offline import FilePrediction
    from mmedge.runtime.prediction import TaskPrediction
    from mmedge.runtime.retrieval.gallery import Gallery
    from mmedge.runtime.retrieval.search import Hit
    from mmedge.specs import Spec

__all__ = [
    "counting",
    "progress",
    "results",
    "show_bundle",
    "show_demo",
    "show_gallery",
    "show_hits",
    "show_parity",
    "show_predictions",
    "waiting",
    "watched",
]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command line; rich would end with exit code 1."""
        raise BrokenPipeError


# Without a terminal nobody can widen the window: room for every table.
_out = _Console(width=None if sys.stdout.isatty() else 120)
_err = Console(stderr=True)
_BAR = 12
_QUIET_NS = 2_000_000_000
_LONG = 600  # characters of one field


def results() -> Console:
    """Give what results are printed on."""
    return _out


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show the current stage while it runs; without a terminal, one line each."""
    if not _err.is_terminal:
        yield lambda stage: _err.print(f"{stage} ...", highlight=False)
        return
    with _err.status("starting ...") as status:

        def on_stage(stage: str) -> None:
            status.update(f"{stage} ...")

        yield on_stage


@contextlib.contextmanager
def waiting(stage: str) -> Iterator[None]:
    """Show on a terminal that something is under way; elsewhere say nothing."""
    with _err.status(f"{stage} ...") if _err.is_terminal else contextlib.nullcontext():
        yield


def watched(predictions: Iterable[FilePrediction]) -> Iterator[FilePrediction]:
    """Pass predictions on, and show how far they are until a terminal shows themselves."""
    if not _err.is_terminal:
        yield from predictions
        return
    with _err.status("predict ...") as status:
        for each in predictions:
            if _out.is_terminal:
                status.stop()
            else:
                status.update(f"predict: clip {each.clip}, {each.end_ns / 1e9:.2f} s ...")
            yield each


@contextlib.contextmanager
def counting() -> Iterator[Callable[[int], None]]:
    """Show how many are done, every two seconds; a quick run shows nothing."""
    begin_ns = time.monotonic_ns()
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(_err.status("encoding ...")) if _err.is_terminal else None

        def on_count(done: int) -> None:
            nonlocal begin_ns
            if status is not None:
                status.update(f"encoded {done} ...")
            elif time.monotonic_ns() - begin_ns > _QUIET_NS:
                begin_ns = time.monotonic_ns()
                _err.print(f"encoded {done} ...", highlight=False)

        yield on_count


def show_gallery(gallery: Gallery, path: Path) -> None:
    """Print what a gallery holds."""
    for name, table in gallery.tables.items():
        files = len(set(table.names))
        _out.print(f"{name}: {len(table.names)} entries of {files}", highlight=False)
    _out.print(f"gallery: [bold]{escape(str(path))}[/]", soft_wrap=True)


def show_hits(hits: Iterable[Hit]) -> None:
    """Print what was found, the best first."""
    for rank, hit in enumerate(hits, start=1):
        where = f"  until {hit.end_ns / 1e9:.2f} s" if hit.end_ns else ""
        _out.print(
            f"{rank:3}  {hit.score:8.3f} {hit.measure}  [bold]{escape(hit.name)}[/]{where}",
            highlight=False,
            soft_wrap=True,
        )


def show_parity(parity: Parity, *, title: str) -> None:
    """Print the worst finding of every point on the data's way."""
    table = Table(title=escape(title), title_justify="left")
    for column, justify in (
        ("point", "left"),
        ("largest error", "right"),
        ("of allowed", "right"),
        ("worst case", "left"),
        ("", "left"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for point, finding in parity.by_point().items():
        case = f"sample {finding.sample}, batch {finding.batch}"
        case += f", {finding.subset}" if finding.subset else ""
        verdict = "[green]ok[/]" if finding.passed else "[red]FAILED[/]"
        table.add_row(point, f"{finding.error:.2g}", f"{finding.ratio:.2%}", case, verdict)
    _out.print(table)
    kind = "your clips" if parity.inputs == "clips" else "seeded noise"
    _out.print(
        f"{len(parity.findings)} comparisons on {parity.samples} samples of {kind}; allowed: "
        f"{parity.tolerance.absolute:g} + {parity.tolerance.relative:g} x |reference|",
        highlight=False,
    )
    for note in parity.notes:
        _out.print(f"note: {escape(note)}", highlight=False)


def show_bundle(bundle: Bundle) -> None:
    """Print what a bundle holds."""
    from mmedge.proof.report import read_report

    manifest = bundle.manifest
    made = ", ".join(f"{name} {version}" for name, version in manifest.made_by.items())
    golden = manifest.golden
    _out.print(f"[bold]{escape(manifest.name)}[/]  {bundle.digest[:12]}  made by {escape(made)}")
    table = Table(title="modalities, in the order of presence", title_justify="left")
    for column in ("name", "kind", "sees", "gives"):
        table.add_column(column)
    for name in manifest.presence:
        graph = manifest.graphs[name]
        sees = ", ".join(f"{i.name} {i.dtype}{_shape(i.shape)}" for i in graph.inputs)
        gives = ", ".join(f"{o.name}{_shape(o.shape)}" for o in graph.outputs)
        table.add_row(name, manifest.modalities[name].kind, escape(sees), escape(gives))
    _out.print(table)
    for name, spec in (*manifest.modalities.items(), *manifest.tasks.items()):
        _out.print(f"[bold]{name}[/]: {escape(_declared(spec))}", highlight=False)
    table = Table(title="plans", title_justify="left")
    for column in ("name", "target", "size", "graphs"):
        table.add_column(column)
    for name, plan in manifest.plans.items():
        size = sum(ref.bytes for ref in plan.graphs.values())
        table.add_row(name, plan.target, f"{size / 1e6:.2f} MB", ", ".join(plan.graphs))
    _out.print(table)
    allowed = manifest.plans["fp32"].tolerances["cpu"]
    _out.print(
        f"weights {manifest.weights_sha256[:12]}; "
        f"golden samples: {golden.samples} of {golden.source}; "
        f"allowed on a CPU: {allowed.absolute:g} + {allowed.relative:g} x |reference|; "
        f"reports: {', '.join(manifest.reports) or 'none'}",
        highlight=False,
    )
    report = read_report(bundle)
    if report is not None:
        kind = "real clips" if report.inputs == "clips" else "seeded noise"
        _show_absence(report.absence, f"{report.samples} samples of {kind}")
        for note in report.notes:
            _out.print(f"note: {escape(note)}", highlight=False)
    if golden.source == "clips":
        _out.print("[yellow]These are real clips: whoever has the bundle has them.[/]")


def show_predictions(predictions: Iterable[FilePrediction]) -> None:
    """Print one line per window as it comes."""
    for each in predictions:
        line = f"{each.end_ns / 1e9:7.2f} s  "
        if not each.prediction.tasks:
            here = [name for name, there in each.prediction.presence.items() if there]
            what = f"no answer to {', '.join(here)} alone" if here else "nothing present"
            _out.print(f"{line}{what}", highlight=False, soft_wrap=True)
        for name, task in each.prediction.tasks.items():
            shares = "  ".join(f"{k} {v:+.2f}" for k, v in task.contributions.items())
            alarm = f"  [red]conflict {task.conflict:.2f}[/]" if task.conflict > 0.5 else ""
            _out.print(
                f"{line}{escape(name)}: {_answer(task)}  {escape(shares)}{alarm}",
                highlight=False,
                soft_wrap=True,
            )


def _answer(task: TaskPrediction) -> str:
    """Write a quantity with its unit, or the label with its probability.

    A label in brackets leads, but lies below its threshold.
    """
    if task.tensor is not None:
        sizes = " x ".join(map(str, task.tensor.shape))
        return f"{sizes} numbers, {task.tensor.min():.4g} .. {task.tensor.max():.4g}"
    if task.units:
        return escape(", ".join(f"{k} {v:.4g} {task.units[k]}" for k, v in task.scores.items()))
    best = max(task.scores, key=lambda label: task.scores[label])
    answer = task.label or ", ".join(task.labels) or f"({best})"
    return f"[bold]{escape(answer)}[/] {task.scores[best]:.2f} {_bar(task.scores[best])}"


def show_demo(result: DemoResult) -> None:
    """Print what the demo found, and where its picture is."""
    for note in result.notes:
        _out.print(f"note: {escape(note)}", highlight=False)
    show_parity(result.parity, title="parity with the trained torch model")
    _show_accuracy(result.accuracy)
    show_predictions(result.predictions)
    _out.print(
        f"picture: [bold]{result.picture}[/]\nbundle: [bold]{result.bundle}[/]\nclip: "
        f"[bold]{result.clip}[/]",
        soft_wrap=True,
    )


def _show_accuracy(rows: Iterable[SubsetMetrics]) -> None:
    table = Table(
        title="accuracy on the shipped test excerpt: a speaker and digits never trained on",
        title_justify="left",
    )
    for column in ("present", "accuracy", "", "right"):
        table.add_column(column)
    for row in rows:
        share = row.metrics["accuracy"]
        right = f"{share * row.samples:.0f} / {row.samples}"
        table.add_row(row.present, f"{share:.1%}", _bar(share), right)
    _out.print(table)


def _declared(spec: Spec) -> str:
    """Write what was declared, defaults included, as in the recipe."""
    parts = []
    for key, value in spec.model_dump(exclude={"kind"}).items():
        text = json.dumps(value, ensure_ascii=False)
        parts.append(f"{key}={text if len(text) <= _LONG else text[:_LONG] + '...'}")
    return f"{type(spec).__name__}({', '.join(parts)})"


def _show_absence(rows: Iterable[Mapping[str, Any]], on: str) -> None:
    """Print how far each absence moves the answers, as the export measured it."""
    title = f"with only these present, the answers move by (on {on})"
    table = Table(title=title, title_justify="left")
    for column in ("present", "task", "mean change", "same label"):
        table.add_column(column)
    for row in rows:
        same = f"{row['agreement']:.0%}" if "agreement" in row else ""
        table.add_row(row["present"], row["task"], f"{row['change']:.3g}", same)
    _out.print(table)


def _bar(share: float) -> str:
    full = round(max(0.0, min(1.0, share)) * _BAR)
    return "█" * full + "░" * (_BAR - full)


def _shape(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
