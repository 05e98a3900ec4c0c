"""`memgrain sweep`: every point of a grid, resumed when run again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    spec: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep by name (see 'memgrain examples') or a .yaml file.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the rows; out/NAME if left out.")] = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", help="Points at a time; one for each core if left out.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Run on the workers of this dask scheduler, tcp://HOST:PORT.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print the table of the answers.")] = False,
) -> None:
    """Run the sweep, then print its answers."""
    from codesign.cli.terminal import SweepProgress
    from codesign.execute import run_sweep
    from codesign.sweep_file import load_sweep

    sweep = load_sweep(spec)
    folder = out or Path("out") / sweep.name
    progress = SweepProgress(sweep.name)
    try:
        outcome = run_sweep(sweep, folder, jobs, cluster, progress)
    except KeyboardInterrupt:
        progress.stop()
        progress.warn(f"interrupted; finished points are in {folder}; go on with: memgrain sweep {spec} -o {folder}")
        raise typer.Exit(130) from None
    finally:
        progress.stop()
    if not quiet and len(outcome.failures) < outcome.total:
        from codesign.cli.answers import print_answers
        from codesign.rows import load_frame

        frame = load_frame(outcome.path)
        print_answers(frame[frame["id"].isin(outcome.ids)])
    if outcome.failures:
        progress.warn(
            f"{len(outcome.failures)} of {outcome.total} points have no answer (see above); the others: {outcome.path}"
        )
        raise typer.Exit(2)
    progress.warn(f"{outcome.total} rows in {outcome.path}; draw them with: memgrain plot {folder}")
