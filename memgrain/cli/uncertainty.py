"""Output of `memgrain run --uncertainty`: the interval of a metric, and the numbers of the chip that cause it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from rich.table import Table

from memgrain.cli.tables import number_text, table
from memgrain.cli.terminal import SweepProgress, console, predicting
from memgrain.hwmodels import read_chip
from memgrain.runs.options import RunOptions
from memgrain.runs.provenance import with_unit
from memgrain.runs.rows import Row
from memgrain.runs.task import Task
from memgrain.uncertainty import Quantiles, SampledPoints, UncertainResult, sample, uncertain_result
from memgrain.uncertainty.ends import Span, spans
from memgrain.uncertainty.parameters import uncertain_parameters
from memgrain.uncertainty.sampling import Drawn, check_figure, notes_of


class Rounds:
    """A progress that restarts with every round of points."""

    def __init__(self, progress: SweepProgress) -> None:
        self.progress = progress
        """The progress that is shown."""

    def start(self, total: int, ready: int) -> None:
        """See `options.Progress`."""
        self.progress.stop()
        self.progress.start(total, ready)

    def done(self, row: Row) -> None:
        """See `options.Progress`."""
        self.progress.done(row)

    def failed(self, message: str) -> None:
        """See `options.Progress`."""
        self.progress.failed(message)

    def warn(self, message: str) -> None:
        """See `options.Progress`."""
        self.progress.warn(message)


def show_uncertainty(task: Task, metric: str, options: RunOptions, as_json: bool) -> None:
    """Simulate draws and ends; print tables or one JSON object; a folder `out` keeps rows and has a tornado."""
    check_figure(metric)
    numbers = uncertain_parameters(read_chip(task.chip, task.chip_set), task.chip_set)
    out = options.out
    with predicting("uncertainty", out) as progress:
        watched = replace(options, progress=Rounds(progress))
        sampled = sample([task], watched)
        found = uncertain_result(sampled, metric, metric, lambda value: value, options.seed)
        nominal, bars = spans(task, numbers, metric, watched)
    telling = [bar for bar in bars if bar.reach(nominal)[0] < bar.reach(nominal)[1]]
    if out is not None and telling:
        from memgrain.plots.tornado import tornado

        tornado(bars, nominal, metric, str(sampled.points[0])).savefig(out / "tornado.png")
        progress.warn(f"the tornado is in {out / 'tornado.png'}")
    if as_json:
        listed = {**interval_object(found, sampled), "numbers": [asdict(bar) for bar in bars]}
        print(json.dumps(listed, indent=2))
        return
    screen = console()
    screen.print(f"{sampled.points[0]}: {metric} {number_text(found.nominal)}", style="bold", markup=False)
    screen.print(intervals_table(found))
    for note in notes(found, sampled):
        screen.print(note, markup=False, soft_wrap=True)
    if telling:
        screen.print()
        screen.print(spans_table(telling, metric))
    if len(telling) < len(bars):
        screen.print(f"{len(bars) - len(telling)} more change nothing by themselves", style="dim")


def spans_table(bars: Sequence[Span], metric: str) -> Table:
    """Numbers one at a time at the ends of their ranges."""
    found = Table(title=f"one at a time: {metric}", title_justify="left", title_style="bold", box=None)
    for title in ("number", "kind", "value", "lowest", "gives", "highest", "gives"):
        found.add_column(title, justify="left" if title in ("number", "kind") else "right", no_wrap=True)
    for bar in bars:
        low, high = ("refused" if value is None else number_text(value) for value in bar.values)
        ends = (with_unit(bar.value), with_unit(bar.ends[0]), low, with_unit(bar.ends[1]), high)
        found.add_row(bar.path, bar.kind, *ends)
    return found


def intervals_table(found: UncertainResult) -> Table:
    """The three intervals of a figure."""
    lines = table("", ">5 %", ">median", ">95 %")
    named = {
        "the chip's numbers": found.assumptions,
        "the model's own error": found.model,
        "both": found.combined,
    }
    for name, quantiles in named.items():
        lines.add_row(name, *_cells(quantiles), style="bold" if name == "both" else None)
    return lines


def _cells(quantiles: Quantiles | None) -> list[str]:
    if quantiles is None:
        return ["–"] * 3
    return [number_text(value) for value in (quantiles.low, quantiles.median, quantiles.high)]


def notes(found: UncertainResult, drawn: SampledPoints | Drawn) -> list[str]:
    """Notes on the evidence of the intervals."""
    return [*found.notes, *notes_of(drawn)]


def interval_object(found: UncertainResult, drawn: SampledPoints | Drawn) -> dict[str, object]:
    """An interval as plain values."""
    named = {"assumptions": found.assumptions, "model": found.model, "combined": found.combined}
    return {
        "metric": found.what,
        "usual": found.nominal,
        **{name: asdict(quantiles) if quantiles else None for name, quantiles in named.items()},
        "notes": list(found.notes),
        "draws": len(drawn.draws),
        "refused": drawn.refused,
        "never_admitted": list(drawn.never),
    }
