"""`memgrain map latency`: lines of equal time over head dimension and selection ratio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from memgrain.cli.options import AsJson, ChipName, Jobs, SetEither


def command(
    chip: ChipName,
    workload: Annotated[
        str, typer.Argument(help="A workload with a selection, by name (see 'memgrain examples') or a .yaml file.")
    ],
    head_dims: Annotated[
        list[int] | None, typer.Option("--head-dim", help="A head dimension. May be repeated; 64 to 256 if left out.")
    ] = None,
    ratios: Annotated[
        list[float] | None, typer.Option("--ratio", help="A share of the tokens. May be repeated; 1 to 100 %.")
    ] = None,
    times: Annotated[
        list[float] | None, typer.Option("--time", help="Draw the line of this time, in us. May be repeated.")
    ] = None,
    set_: SetEither = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="The figure, a .png; out/map_latency.png if left out. Rows go to a folder beside it."
        ),
    ] = None,
) -> None:
    """Simulate the grid, continuing an interrupted run; print the times, draw."""
    from memgrain.api.maps import DIMS, RATIOS, latency_grid
    from memgrain.cli.map import draw, place
    from memgrain.cli.sweep_report import print_rows
    from memgrain.cli.terminal import predicting
    from memgrain.errors import MemgrainError
    from memgrain.plots.contours import RATIO, TIME, contours
    from memgrain.quality import size_notes
    from memgrain.runs.execute import run_sweep
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse
    from memgrain.runs.pivot import HEAD_DIM
    from memgrain.runs.rows import load_frame
    from memgrain.runs.sweep import load_sweep

    target = place(out, "latency")
    if times and min(times) <= 0:
        raise MemgrainError(f"--time {min(times):g} must be above 0 us; raise it")
    sweep = load_sweep(latency_grid(chip, workload, head_dims or DIMS, ratios or RATIOS, parse(set_ or [])))
    folder = target.with_suffix("")
    with predicting("map latency", folder) as progress:
        outcome = run_sweep(sweep, folder, RunOptions(jobs=jobs, progress=progress))
    if len(outcome.failures) < outcome.total:
        frame = load_frame(outcome.path, ids=outcome.ids)
        if as_json:
            print(json.dumps(frame[["chip", "workload", HEAD_DIM, RATIO, TIME]].to_dict("records"), indent=2))
        else:
            print_rows(frame, TIME)
        for note in size_notes(sweep.tasks()):
            progress.warn(note)
        draw(contours(frame, times or ()), target, as_json)
        for time in times or ():
            if not frame[TIME].min() < time < frame[TIME].max():
                progress.warn(
                    f"no line at {time:g} us: times are {frame[TIME].min():.4g} to {frame[TIME].max():.4g} us"
                )
    progress.conclude(folder, outcome.failures)
