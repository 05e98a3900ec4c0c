"""`memgrain trace fit`: the parameters of a local selection fitted to a recording, and what they give beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson
from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    from rich.table import Table

    from memgrain.workloads.selection.fit import FittedSelection

LABELS = {"overlap": "overlap at lag", "misses": "LRU misses, entries / K", "pages": "pages touched, tokens"}
"""Labels of the judged statistics."""
OTHERS = {
    "run_length": "mean run, tokens",
    "union": "share of context ever selected",
    "popularity": "Zipf exponent",
    "window": "share among the newest 128",
    "sinks": "share among the first 4",
}
"""Statistics that are shown and not judged."""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE.npz", help="Array positions [layer, step, K], sorted or not.")],
    layer: Annotated[int | None, typer.Option(help="Fit this layer; the mean of all layers if left out.")] = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="YAML file for the parameters; printed if left out.")
    ] = None,
) -> None:
    """Fit, and print measured beside generated, and whether each is within its bound; half a minute a fit."""
    from memgrain.workloads.selection.fit import fit, load_recording

    if out is not None and not out.parent.is_dir():
        raise MemgrainError(f"cannot write {out} (no folder {out.parent}); make it, or choose another file with -o")
    recording = load_recording(file)
    found = fit(recording, layer)
    text = written(found, file.name, layer)
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise MemgrainError(f"cannot write {out} ({error.strerror}); choose another file with -o") from None
    if as_json:
        print(json.dumps(figures(found, layer), indent=2))
        return
    from memgrain.cli.terminal import console

    console().print(table(found))
    if out is None:
        print(f"\n{text}", end="")


def figures(found: FittedSelection, layer: int | None) -> dict[str, Any]:
    """Parameters, statistics, errors and verdicts as plain values."""
    within = found.within()
    return {
        "layer": "all" if layer is None else layer,
        "selection": parameters(found),
        "measured": asdict(found.measured),
        "generated": asdict(found.generated),
        "errors": found.errors(),
        "within": within,
        "all_within": all(fine for judged in within.values() for fine in judged.values()),
    }


def parameters(found: FittedSelection) -> dict[str, Any]:
    """The fitted parameters, with kind and seed."""
    kept = {
        "kind",
        "tokens",
        "overlap",
        "recency",
        "sinks",
        "burst",
        "popularity",
        "cluster",
        "segment",
        "pool",
        "seed",
    }
    return found.selection.model_dump(include=kept)


def written(found: FittedSelection, name: str, layer: int | None) -> str:
    """YAML of the parameters, to be put into a workload."""
    import yaml

    errors = found.errors()
    worst = {key: max(abs(error) for error in errors[key].values()) for key in errors}
    which = "the mean of all layers" if layer is None else f"layer {layer}"
    head = [
        f"# Fitted to {which} of {name} by memgrain trace fit.",
        f"# Largest errors: overlap {worst['overlap']:.3f}, LRU misses {100 * worst['misses']:.0f} %, pages touched "
        f"{100 * worst['pages']:.0f} %.",
    ]
    return "\n".join([*head, yaml.safe_dump({"selection": parameters(found)}, sort_keys=False)])


def table(found: FittedSelection) -> Table:
    """Measured beside generated."""
    from rich.table import Table

    from memgrain.workloads.selection.fit import BOUNDS

    shown = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("statistic", "at", "measured", "generated", "error", "bound", ""):
        shown.add_column(column, justify="left" if column in ("statistic", "") else "right", no_wrap=True)
    errors, within = found.errors(), found.within()
    for name, bound in BOUNDS.items():
        measured, generated = getattr(found.measured, name), getattr(found.generated, name)
        absolute = name == "overlap"
        for at in measured:
            error = errors[name][at]
            shown.add_row(
                LABELS[name],
                f"{at:g}",
                f"{measured[at]:.3f}",
                f"{generated[at]:.3f}",
                f"{error:+.3f}" if absolute else f"{100 * error:+.1f} %",
                f"{bound:.3f}" if absolute else f"{100 * bound:.0f} %",
                "within" if within[name][at] else "OUTSIDE",
            )
    for name, label in OTHERS.items():
        shown.add_row(label, "", f"{getattr(found.measured, name):.3f}", f"{getattr(found.generated, name):.3f}")
    return shown
