"""`memgrain map latency`: lines of equal time over head dimension and selection ratio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    chip: Annotated[str, typer.Argument(help="A chip by name (see 'memgrain chips') or a .yaml file.")],
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
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a number of either: l2.ways=32, shape.kv_len=8192."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", help="Points at a time; one for each core if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="The figure, a .png; out/map_latency.png if left out. Rows go to a folder beside it."
        ),
    ] = None,
) -> None:
    """Simulate the grid, which goes on where it was stopped; print the times, draw."""
    from memgrain.cli.answers import print_answers
    from memgrain.cli.map import draw, place
    from memgrain.cli.terminal import predicting
    from memgrain.errors import MemgrainError
    from memgrain.plots.contours import RATIO, TIME, contours
    from memgrain.quality import size_notes
    from memgrain.runs.execute import run_sweep
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import CHIP, parse, split
    from memgrain.runs.pivot import HEAD_DIM
    from memgrain.runs.rows import load_frame
    from memgrain.runs.sweep import load_sweep
    from memgrain.runs.task import Task, attention_of

    target = place(out, "latency")
    dims, shares = _grid(head_dims, ratios, times)
    chip_set, workload_set = split(parse(set_ or []), chip)
    attended = attention_of(Task(chip, chip_set, workload, workload_set).resolve().workload)
    if attended is None or attended.selection is None:
        raise MemgrainError(
            f"{workload} selects no tokens, so there is no share of them to vary; choose a workload with a selection, "
            "such as decode_topk"
        )
    sweep = load_sweep(
        {
            "name": "map_latency",
            "chips": [chip],
            "workload": workload,
            "set": {**workload_set, **{CHIP + key: value for key, value in chip_set.items()}},
            "grid": {HEAD_DIM: dims, RATIO: shares},
        }
    )
    folder = target.with_suffix("")
    with predicting("map latency", folder) as progress:
        outcome = run_sweep(sweep, folder, RunOptions(jobs=jobs, progress=progress))
    if len(outcome.failures) < outcome.total:
        frame = load_frame(outcome.path, ids=outcome.ids)
        if as_json:
            print(json.dumps(frame[["chip", "workload", HEAD_DIM, RATIO, TIME]].to_dict("records"), indent=2))
        else:
            print_answers(frame, TIME)
        for note in size_notes(sweep.tasks()):
            progress.warn(note)
        draw(contours(frame, times or ()), target, as_json)
        for time in times or ():
            if not frame[TIME].min() < time < frame[TIME].max():
                progress.warn(
                    f"no line at {time:g} us: times are {frame[TIME].min():.4g} to {frame[TIME].max():.4g} us"
                )
    progress.conclude(folder, outcome.failures)


def _grid(
    head_dims: list[int] | None, ratios: list[float] | None, times: list[float] | None
) -> tuple[list[int], list[float]]:
    """The values of either key, each once in order; raises MemgrainError if they make no area or no such line is."""
    from memgrain.errors import MemgrainError

    dims = sorted(set(head_dims or (64, 80, 96, 112, 128, 160, 192, 256)))
    shares = sorted(set(ratios or (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)))
    for name, values in (("--head-dim", dims), ("--ratio", shares)):
        if len(values) < 2:
            raise MemgrainError(f"{name} {values[0]:g} alone spans no area; give two values at least")
        if values[0] <= 0:
            raise MemgrainError(f"{name} {values[0]:g} must be above 0; raise it")
    if times and min(times) <= 0:
        raise MemgrainError(f"--time {min(times):g} must be above 0 us; raise it")
    return dims, shares
