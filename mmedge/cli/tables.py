"""Tables on the terminal of what an evaluation found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mmedge.proof.choosing import said_of_unlabelled
from mmedge.views import results

if TYPE_CHECKING:
    from mmedge.calibration import Calibration
    from mmedge.proof.paired import Drop
    from mmedge.proof.plans import Evaluation, PlanFound, Row

__all__ = ["show_calibration", "show_evaluation"]

_PARTS = {"ranges": "observe", "search": "choose by", "report": "prove on"}
MANY = 20
"""Slices, or classes, that are shown; JSON has all."""
WORDS = {
    "mean_average_precision": "mAP",
    "calibration_error": "ECE",
    "macro_f1": "F1",
    "macro_precision": "prec.",
    "macro_recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
}


def show_evaluation(found: Evaluation) -> None:
    """Print plans, subsets, classes and slices."""
    out = results()
    _show_plans(found)
    for task in dict.fromkeys(row.task for row in found.rows):
        rows = [row for row in found.rows if row.task == task]
        _show_task(found, task, rows)
        _show_classes(found, [row for row in rows if row.present == found.whole])
    if found.by is not None:
        _show_slices(found)
    _show_unlabelled(found)
    if any(each.simulated for each in found.plans):
        out.print(
            "simulated: computed in float by ONNX Runtime as TensorRT would round, without its "
            "speed; on a device, eval with its backend has the last word.",
            highlight=False,
        )
    for note in found.notes:
        out.print(f"note: {escape(note)}", highlight=False)
    for each in found.skipped[:MANY]:
        out.print(f"skipped: {escape(each)}", highlight=False, soft_wrap=True)


def _show_plans(found: Evaluation) -> None:
    """Latency and size of every plan and subset."""
    table = _table(
        f"plans on {found.backend}, {found.machine}; {found.samples} clips",
        ("plan", "for", "present"),
        ("latency", "over fp32's", "size"),
    )
    for plan in found.plans:
        for present, size in plan.bytes.items():
            timed = ("", "")
            if present in plan.latency_ms:
                timed = f"{plan.latency_ms[present]:.2f} ms", f"{plan.ratio[present]:.2f}"
            table.add_row(_named(plan), plan.target, present, *timed, f"{size / 1e6:.2f} MB")
        table.add_section()
    results().print(table)


def _show_task(found: Evaluation, task: str, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    metric = next((row.drop.metric for row in rows if row.drop is not None), "")
    table = _table(
        f"{task}" + (f": drops are points of {metric}, and at 95 % at most" if metric else ""),
        ("present", "plan"),
        ("clips", *(WORDS.get(name, name) for name in names), "drop", "at most"),
    )
    plans = {plan.plan: plan for plan in found.plans}
    for present in dict.fromkeys(row.present for row in rows):
        for row in (each for each in rows if each.present == present):
            table.add_row(
                present if row.plan == found.plans[0].plan else "",
                _named(plans[row.plan]),
                str(row.samples),
                *(f"{row.metrics[name]:.3f}" if name in row.metrics else "" for name in names),
                *_drop(row.drop, found.max_drop),
            )
        table.add_section()
    results().print(table)


def _show_classes(found: Evaluation, rows: Sequence[Row]) -> None:
    """Label by label: the F1 of every plan, beside the precision and recall of the last one."""
    labels = list(rows[0].classes)[:MANY] if rows else []
    if not labels:
        return
    table = _table(
        f"{rows[0].task}, {found.whole}: precision / recall / F1 of each label",
        ("label",),
        ("clips", *(row.plan for row in rows)),
    )
    for label in labels:
        cells = []
        for row in rows:
            each = row.classes[label]
            cells.append(" / ".join(_share(v) for v in (each.precision, each.recall, each.f1)))
        table.add_row(escape(label), str(rows[0].classes[label].samples), *cells)
    results().print(table)


def _show_slices(found: Evaluation) -> None:
    table = _table(
        f"by {found.by}, the largest drop first",
        ("plan", str(found.by), "task"),
        ("clips", "drop", "at most"),
    )
    for each in found.slices[:MANY]:
        value = escape(each.value or "(none)")
        mark = f"[red]{value}[/]" if each.over else value
        drop = _drop(each.drop, found.max_drop)
        table.add_row(each.plan, mark, each.task, str(each.samples), *drop)
    results().print(table)
    over = [each for each in found.slices if each.over]
    for each in over:
        results().print(
            f"over the limit of {found.max_drop:g}: {found.by} {escape(each.value or '(none)')} "
            f"with {each.plan}, {each.task}",
            highlight=False,
            soft_wrap=True,
        )
    if found.max_drop is not None and not over:
        results().print(f"no {found.by} is over the limit of {found.max_drop:g}", highlight=False)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=escape(title), title_justify="left")
    for name in left:
        table.add_column(escape(name), no_wrap=name == "plan", overflow="fold")
    for name in right:
        table.add_column(escape(name), justify="right")
    return table


def _named(plan: PlanFound) -> str:
    return f"{plan.plan} [yellow](simulated)[/]" if plan.simulated else plan.plan


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _drop(drop: Drop | None, limit: float | None) -> tuple[str, str]:
    """What was seen, and the bound; red where they are over the limit."""
    if drop is None:
        return "", ""
    cells = []
    for value in (drop.value, drop.bound):
        over = limit is not None and value > limit
        cells.append(f"[red]{value:.2f}[/]" if over else f"{value:.2f}")
    return cells[0], cells[1]


def show_calibration(found: Calibration) -> None:
    """Print what was found for each target."""
    parts = ", ".join(
        f"{count} of {found.groups[name]} group{'s' * (found.groups[name] != 1)} to {_PARTS[name]}"
        for name, count in found.samples.items()
    )
    results().print(f"samples: {parts}", highlight=False, soft_wrap=True)
    table = _table(
        f"plans: drops are points, at most {found.max_drop:g} allowed",
        ("target", "plan"),
        ("INT8 share", "drop", "at most", "unseen", "fp32's time", "size"),
    )
    for each in found.outcomes:
        trial, seen = each.searched, each.reported
        table.add_row(
            each.target,
            each.plan or "none",
            "" if trial is None else f"{trial.share:.0%}",
            "" if trial is None else f"{trial.worst_value:.2f}",
            "" if trial is None else f"{trial.worst_bound:.2f}",
            "" if seen is None else f"{seen.worst_value:.2f}",
            "" if each.ratio is None else f"{each.ratio:.2f}",
            f"{each.bytes / 2**20:.1f} MiB" if each.bytes else "",
        )
    results().print(table)
    for each in found.outcomes:
        results().print(f"{each.target}: {each.verdict}", highlight=False, soft_wrap=True)
        if each.waived:
            results().print(f"not proven: {each.waived}", highlight=False, soft_wrap=True)
    for note in found.notes:
        results().print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    _show_numberless(found)
    for line in found.skipped[:MANY]:
        results().print(f"skipped: {escape(line)}", highlight=False)
    _show_unlabelled(found)


def _show_numberless(found: Calibration) -> None:
    """Name the encoders that compute what is no number; masks are meant, and in the report."""
    for each in found.outcomes:
        for modality, values in each.left_out.items():
            no_numbers = [v for v, said in values.items() if "NaN" in said or "infinite" in said]
            for value in no_numbers[:1]:
                results().print(
                    f"note: {each.target}: {modality!r} computes what is no number, {value}: "
                    f"{values[value]}, and {len(no_numbers) - 1} more values; what takes them "
                    "stays above INT8",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )


def _show_unlabelled(found: Calibration | Evaluation) -> None:
    """Say plainly which drops tell nothing of right or wrong."""
    said = said_of_unlabelled(found.unlabelled, found.tasks)
    if said:
        results().print(escape(said), highlight=False, soft_wrap=True)
