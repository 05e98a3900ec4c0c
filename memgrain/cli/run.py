"""`memgrain run`: one workload on one chip."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from memgrain.cli.options import AsJson, CacheState, ChipName, SetEither, TuneKeys, WorkloadName


def command(
    chip: ChipName,
    workload: WorkloadName,
    set_: SetEither = None,
    before: CacheState = "cold",
    tune: TuneKeys = None,
    assumptions: Annotated[
        bool,
        typer.Option(
            "--assumptions", help="Run with each assumed number of the chip at the ends of its range, and all."
        ),
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Draw all numbers with a range, add the model's own error, and give intervals from 5 to 95 % and the "
            "numbers that make them.",
        ),
    ] = False,
    samples: Annotated[int | None, typer.Option(help="With --uncertainty: draws, 100 if left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --uncertainty: seed of the draws, 0 if left out.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="With --uncertainty: a column of the row, time_us if left out.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="With --uncertainty or --assumptions: folder for the rows, which are not run again."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j", "--jobs", help="With --uncertainty or --assumptions: runs at a time; one a core if left out."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate, then print a table or one JSON object."""
    from memgrain.hwmodels import contradictions, read_chip
    from memgrain.runs.options import RunOptions
    from memgrain.runs.overrides import parse
    from memgrain.runs.task import Task
    from memgrain.runs.tune import keys_of
    from memgrain.runs.tune import tune as tuned

    _check(
        assumptions,
        uncertainty,
        {"--samples": samples, "--seed": seed, "--metric": metric},
        {"-o": out, "-j": jobs},
    )
    task = Task.of(chip, workload, parse(set_ or []), before, keys_of(tune) if tune is not None else ())
    options = RunOptions(out, jobs, samples=samples, seed=seed or 0)
    if assumptions:
        from memgrain.cli.assumptions import show_interval

        return show_interval(task, options, as_json)
    if uncertainty:
        from memgrain.cli.uncertainty import show_uncertainty

        return show_uncertainty(task, metric or "time_us", options, as_json)
    point = task.resolve()
    for line in contradictions(point.chip):
        print(f"memgrain: {point.chip.name}: {line}", file=sys.stderr)
    if as_json:
        print(json.dumps(point.run(), indent=2, default=int))
        return
    found = tuned(point) if point.tune else None
    point, result = (found.point, found.result) if found else (point, point.simulate())
    from memgrain.cli.report import print_result
    from memgrain.cli.terminal import console

    print_result(point, result, read_chip(chip, task.chip_set).provenance)
    if found:
        console().print(f"\n{found}", markup=False, soft_wrap=True)


def _check(assumptions: bool, uncertainty: bool, draws: dict[str, object], runs: dict[str, object]) -> None:
    """Raise MemgrainError for options that are not read."""
    from memgrain.errors import MemgrainError

    if assumptions and uncertainty:
        raise MemgrainError("--assumptions and --uncertainty are two questions; ask one at a time")
    idle = [name for name, value in draws.items() if value is not None and not uncertainty]
    if idle:
        raise MemgrainError(f"{idle[0]} is read with --uncertainty only; add that, or leave {idle[0]} out")
    idle = [name for name, value in runs.items() if value is not None and not (uncertainty or assumptions)]
    if idle:
        raise MemgrainError(f"{idle[0]} is read with --uncertainty or --assumptions only; 'memgrain sweep' keeps rows")
