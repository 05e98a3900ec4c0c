"""Output of `memgrain model run`: tables, JSON, and the figure of the parts of the time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memgrain.cli.tables import number_text, size_text, table, time_text
from memgrain.cli.terminal import console
from memgrain.errors import MemgrainError
from memgrain.models import ModelRun
from memgrain.workloads.layers.step import COMPONENTS

if TYPE_CHECKING:
    from rich.console import Console

    from memgrain.uncertainty import UncertainResult
    from memgrain.uncertainty.sampling import Drawn

TIMES = {
    "time_us": "time",
    "time_per_token_us": "time from token to token",
    "prompt_time_us": "time of the whole prompt",
}
"""Times that may have an interval, in words."""


def draw(found: ModelRun, out: Path) -> None:
    """Write the figure; raises MemgrainError if it cannot be written."""
    from memgrain.plots.model_run import bars

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        bars(found).savefig(out)
    except OSError as error:
        raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another place with -o") from None


def answer(
    found: ModelRun, whole_prompt: int | None, interval: tuple[UncertainResult, Drawn] | None = None
) -> dict[str, Any]:
    """Everything as plain values; times in us, `whole_prompt` in ps, `interval` that of a time if one was made."""
    request, held = found.request, found.capacity
    return {
        "chip": request.chip.name,
        "model": request.model.name,
        "step": request.step.model_dump(),
        "shard": {**request.shard.model_dump(), "chips": request.shard.chips},
        "time_us": found.time / 1e6,
        "time_per_token_us": found.time_per_token / 1e6,
        "tokens_per_second": found.tokens_per_second,
        "prompt_time_us": None if whole_prompt is None else whole_prompt / 1e6,
        "read_bytes": found.read_bytes,
        "components": {
            name: {"time_us": time / 1e6, "bytes": moved, "macs": macs}
            for name in COMPONENTS
            for time, moved, macs in (found.of(name),)
        },
        "memory": {
            "bytes": held.memory,
            "weights": held.weights,
            "cache_of_a_sequence": held.sequence,
            "sequences": held.sequences,
            "activations": held.activations,
            "fits": held.fits,
            "most_sequences": held.most_sequences,
            "most_tokens": held.most_tokens,
        },
        **found.trust.columns(),
        **({} if interval is None else {"uncertainty": _plain(*interval)}),
        "fused": [
            {"layer": kind, "layers": layers, **dataclasses.asdict(change)} for kind, layers, change in found.fused
        ],
        "prefetch": found.fetched,
        "stages": [
            {
                "layer": line.layer,
                "layers": line.layers,
                "stage": line.stage,
                "component": line.component,
                "time_us": line.time / 1e6,
                "bytes": line.read_bytes,
                "macs": line.macs,
            }
            for line in found.lines
        ],
    }


def _plain(spread: UncertainResult, drawn: Drawn) -> dict[str, object]:
    from memgrain.cli.uncertainty import interval_object

    return interval_object(spread, drawn)


def show(found: ModelRun, whole_prompt: int | None) -> None:
    """Print the request, its time, where the time goes, and what memory holds."""
    screen = console()
    _show_times(screen, found, whole_prompt)
    _show_parts(screen, found)
    _show_changes(screen, found)


def show_interval(spread: UncertainResult, drawn: Drawn) -> None:
    """Print the interval of a time, and notes on its evidence."""
    from memgrain.cli.uncertainty import intervals_table, notes

    screen = console()
    screen.print(f"\n{TIMES[spread.what]}, in us: {number_text(spread.nominal)}, and from 5 to 95 %")
    screen.print(intervals_table(spread))
    for note in notes(spread, drawn):
        screen.print(note, markup=False, soft_wrap=True)


def _show_times(screen: Console, found: ModelRun, whole_prompt: int | None) -> None:
    request = found.request
    step, shard = request.step, request.shard
    sequences = step.batch * shard.data
    many = f"{shard.chips} x " if shard.chips > 1 else ""
    screen.print(f"[bold]{request.model.title}[/bold] on {many}{request.chip.title}")
    new = "a token" if step.tokens == 1 else f"{step.tokens:,} tokens"
    new += "" if request.accepted is None else f" of which {1 + request.accepted:g} count"
    groups = f" in each of {shard.data} groups of {shard.tensor}" if shard.data > 1 else ""
    screen.print(
        f"{step.phase} of {new} of {step.batch:,} sequence{'s' * (step.batch > 1)} of {step.context:,} tokens{groups}; "
        f"cache {step.cache}, products {step.product}",
        markup=False,
    )
    each = f", {time_text(round(found.time_per_token))} from token to token" if found.tokens > sequences else ""
    tokens = f"{found.tokens_per_second:,.4g} tokens a second, {found.tokens_per_second / shard.chips:,.4g} a chip"
    lines = [
        f"\ntime {time_text(found.time)}{found.trust.expected(found.time)}",
        f"{tokens}{each}; {size_text(found.read_bytes)} read from memory a chip",
        *found.trust.lines,
        "",
    ]
    screen.print("\n".join(lines), markup=False, soft_wrap=True)
    if whole_prompt is not None:
        screen.print(
            f"whole prompt about {time_text(whole_prompt)} in {-(-step.context // step.tokens):,} chunks\n",
            markup=False,
        )


def _show_parts(screen: Console, found: ModelRun) -> None:
    shown = table("component", ">time", ">share", ">bytes", ">G MAC")
    for name in COMPONENTS:
        time, moved, macs = found.of(name)
        if time:
            label = f"{name} (sent)" if name == "exchange" else name
            shown.add_row(label, time_text(time), f"{time / found.time:.1%}", size_text(moved), f"{macs / 1e9:,.4g}")
    screen.print(shown)
    shown = table("kind of layer", ">layers", ">time each", ">share", "most of it")
    for kind in dict.fromkeys(line.layer for line in found.lines):
        lines = [line for line in found.lines if line.layer == kind]
        each_time, count = sum(line.time for line in lines), lines[0].layers
        longest = sorted(lines, key=lambda line: -line.time)[:3]
        most = ", ".join(f"{line.stage} {line.time / 1e6:,.3g} us" for line in longest)
        shown.add_row(kind, str(count), time_text(each_time), f"{count * each_time / found.time:.1%}", most)
    screen.print()
    screen.print(shown)


def _show_changes(screen: Console, found: ModelRun) -> None:
    held = found.capacity
    for kind, _, change in found.fused:
        screen.print(
            f"\nfused in {kind}: {change.name}, {change.kernels} kernels; {size_text(change.saved_bytes)} a layer no "
            f"longer move, a core keeps {size_text(change.kept_bytes)} beside tiles of {size_text(change.tile_bytes)}",
            markup=False,
        )
    if found.fetched:
        counts = {key: size_text(count) for key, count in found.fetched.items()}
        screen.print(
            f"\nprefetched {counts['bytes']}: {counts['used_bytes']} found, {counts['late_bytes']} too late, "
            f"{counts['lost_bytes']} evicted before use, {counts['wrong_bytes']} wrong guesses",
            markup=False,
        )
    screen.print(
        f"\nmemory of a chip: {size_text(held.weights)} weights, {size_text(held.sequence)} cache a sequence, "
        f"{size_text(held.activations)} activations of {size_text(held.memory)}; room for {held.most_sequences:,} "
        f"sequences of that length, or {held.most_tokens:,} tokens each",
        markup=False,
    )
