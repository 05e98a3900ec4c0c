"""`memgrain sweep`: every point of a grid, resumed when run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memgrain.cli.options import Jobs, TuneKeys

if TYPE_CHECKING:
    from memgrain.cli.terminal import SweepProgress
    from memgrain.runs.execute import Outcome
    from memgrain.uncertainty.sweeps import Intervals


def command(
    spec: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep by name (see 'memgrain examples') or a .yaml file.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the rows; out/NAME if left out.")] = None,
    jobs: Jobs = None,
    cluster: Annotated[
        str | None, typer.Option(help="Run on the workers of this dask scheduler, tcp://HOST:PORT.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print the table of the answers.")] = False,
    tune: TuneKeys = None,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Then run every point on draws of its chip's uncertain numbers, add the model's own error, and give "
            "intervals from 5 to 95 %, in intervals.csv too.",
        ),
    ] = False,
    samples: Annotated[
        int | None, typer.Option(help="With --uncertainty: draws of each point, 16 if left out.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With --uncertainty: seed of the draws, 0 if left out.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="With --uncertainty: a column of the rows, effective_bandwidth_share if left out."),
    ] = None,
) -> None:
    """Run the sweep, then print its rows."""
    from memgrain.cli.draws import Draws
    from memgrain.cli.terminal import SweepProgress
    from memgrain.quality import size_notes
    from memgrain.runs.execute import run_sweep
    from memgrain.runs.options import RunOptions
    from memgrain.runs.sweep import load_sweep
    from memgrain.runs.tune import keys_of

    draws = Draws.of(uncertainty, samples, seed, metric)
    options = RunOptions(out, jobs, cluster, samples=samples, seed=seed or 0)
    sweep = load_sweep(spec)
    if tune is not None:
        sweep = sweep.model_copy(update={"tune": keys_of(tune)})
    folder = out or Path("out") / sweep.name
    progress = SweepProgress(sweep.name)
    intervals: Intervals | None = None
    try:
        outcome = run_sweep(sweep, folder, replace(options, progress=progress))
        finished = len(outcome.failures) < outcome.total
        if draws and finished:
            progress.stop()
            progress = SweepProgress(f"{sweep.name}, draws")
            intervals = draws.intervals(sweep, folder, options, progress)
    except KeyboardInterrupt:
        progress.stop()
        tuned = f" --tune {tune}" if tune else ""
        again = f"memgrain sweep {spec} -o {folder}{tuned}{draws.options if draws else ''}"
        progress.warn(f"interrupted; finished points are in {folder}; go on with: {again}")
        raise typer.Exit(130) from None
    finally:
        progress.stop()
    if not quiet and finished:
        _print(outcome, intervals)
        for note in size_notes(sweep.tasks()):
            progress.warn(note)
    _conclude(folder, outcome, intervals, progress)


def _print(outcome: Outcome, intervals: Intervals | None) -> None:
    """Print the rows of the sweep's points, with their intervals if there are any."""
    from memgrain.cli.sweep_report import print_intervals, print_rows
    from memgrain.runs.rows import load_frame

    rows = load_frame(outcome.path, ids=outcome.ids)
    if intervals is None:
        print_rows(rows)
    else:
        print_intervals(rows, intervals.frame)


def _conclude(folder: Path, outcome: Outcome, intervals: Intervals | None, progress: SweepProgress) -> None:
    """Print where rows and intervals are; exit with status 2 if a point has no row or no interval."""
    missing = intervals.failures if intervals else []
    for line in missing:
        progress.warn(line)
    if intervals:
        progress.warn(f"{len(intervals.frame) - len(missing)} intervals in {intervals.path}")
    if missing:
        progress.warn(f"{len(missing)} points have an answer but no interval (see above)")
    if outcome.failures:
        progress.warn(
            f"{len(outcome.failures)} of {outcome.total} points have no answer (see above); the others: {outcome.path}"
        )
    if outcome.failures or missing:
        raise typer.Exit(2)
    progress.warn(f"{outcome.total} rows in {outcome.path}; draw them with: memgrain plot {folder}")
