"""`memgrain explore`: a search over designs, resumed when run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, TuneKeys

if TYPE_CHECKING:
    from memgrain.explore import Explored

SHOWN = 30
"""Most rows of the front in the table."""
REASONS = 5
"""Most reasons of refusals in the list."""


def command(
    spec: Annotated[
        str, typer.Argument(metavar="SEARCH", help="A search by name or a .yaml file; see docs/explore.md.")
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder of rows, study and figures; out/NAME if left out.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="URL of the database of the study; OUT/study.db (SQLite) if left out.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Points to try in all, in place of the file's.")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, nsga2 or random, in place of the file's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the choices, in place of the file's.")] = None,
    tune: TuneKeys = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", help="Points at a time, each in a process; with one, the order is fixed.")
    ] = 1,
    plot: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw front, parallel coordinates and slices.")] = True,
    as_json: AsJson = False,
) -> None:
    """Search, then print the Pareto front and draw it."""
    from memgrain.cli.terminal import SweepProgress
    from memgrain.explore import explore, load_search
    from memgrain.runs.options import RunOptions

    given = {"trials": trials, "sampler": sampler, "seed": seed, "tune": tune}
    search = load_search(spec, {key: value for key, value in given.items() if value is not None})
    folder = out or Path("out") / search.name
    progress = SweepProgress(search.name)
    try:
        found = explore(search, folder, storage, RunOptions(jobs=jobs, progress=progress))
    except KeyboardInterrupt:
        progress.stop()
        progress.warn(f"interrupted; finished trials are in {folder}; go on by running the same again")
        raise typer.Exit(130) from None
    finally:
        progress.stop()
    if as_json:
        print(json.dumps(_numbers(found), indent=2))
    else:
        _print(found)
    if plot and found.feasible:
        for path in _draw(found, folder):
            progress.warn(f"figure: {path}")
    if not found.feasible:
        progress.warn(f"none of {len(found.trials)} points is feasible; loosen the constraints or widen the space")
        raise typer.Exit(2)
    progress.warn(f"rows: {found.path}")


def _numbers(found: Explored) -> dict[str, Any]:
    """The JSON object."""
    volume, share = found.hypervolume()
    frame = found.frame()
    front = [
        {"number": trial.number, "chip": trial.chip, "set": trial.overrides, "tuned": trial.tuned, "row": trial.row}
        | {"objectives": dict(zip(found.search.objectives, trial.values, strict=True))}
        for trial in found.front
    ]
    return {
        "name": found.search.name,
        "trials": len(found.trials),
        "size": found.size,
        "states": frame["state"].value_counts().to_dict(),
        "front": front,
        "reference": found.reference() if found.feasible else None,
        "hypervolume": volume,
        "hypervolume_share": share,
        "reasons": dict(found.reasons()),
        "notes": _notes(found),
    }


def _print(found: Explored) -> None:
    from memgrain.cli.tables import table
    from memgrain.cli.terminal import console
    from memgrain.runs.labels import key_label, metric_label, scale, words

    screen, search = console(), found.search
    front = found.front
    title = "Pareto front" if len(search.objectives) > 1 else "the best"
    screen.print(f"{title} of {search.name}", style="bold", markup=False)
    arrows = {"minimise": "↓", "maximise": "↑"}
    keys = _varying(found)
    heads = [
        f">{metric_label(name) if '.' not in name else key_label(name)} {arrows[way]}"
        for name, way in search.objectives.items()
    ]
    tuned = list(dict.fromkeys(key for trial in front[:SHOWN] for key in trial.tuned))
    shown = table(
        ">trial", *(f">{key_label(key)}" for key in keys), *heads, *(f">tuned {key.split('.')[-1]}" for key in tuned)
    )
    for trial in front[:SHOWN]:
        point = {"chip": trial.chip, **trial.overrides}
        values = (f"{scale(name) * value:.4g}" for name, value in zip(search.objectives, trial.values, strict=True))
        texts = (
            words(name, point[name]) if name in point else text
            for name, text in zip(search.objectives, values, strict=True)
        )
        own = (str(trial.tuned.get(key, "–")) for key in tuned)
        shown.add_row(str(trial.number), *(words(key, point.get(key, "–")) for key in keys), *texts, *own)
    screen.print(shown)
    for line in [*_footer(found, len(front)), *_notes(found)]:
        screen.print(line, markup=False, soft_wrap=True)


def _varying(found: Explored) -> list[str]:
    """Keys that have several values in the trials, objectives apart."""
    frame = found.frame()
    return [key for key in found.keys if key not in found.search.objectives and frame[key].map(str).nunique() > 1]


def _footer(found: Explored, front: int) -> list[str]:
    """Lines below the table: the hypervolume and the trials."""
    lines = [f"{front - SHOWN} more are in the figure and in --json"] if front > SHOWN else []
    if found.feasible and len(found.search.objectives) > 1:
        volume, share = found.hypervolume()
        ends = ", ".join(
            f"{name} {value:.4g}" for name, value in zip(found.search.objectives, found.reference(), strict=True)
        )
        kind = "given" if found.search.reference else "worst of the front"
        lines.append(f"hypervolume {volume:.6g}, {share:.1%} of its box; reference ({kind}): {ends}")
    refused = sum(bool(trial.refused) for trial in found.trials)
    violating = len(found.trials) - refused - len(found.feasible)
    space = f" of {found.size:,} points" if found.size else ""
    lines.append(
        f"{len(found.trials)} trials{space}: {len(found.feasible)} feasible, {violating} violate a constraint, "
        f"{refused} refused"
    )
    reasons = found.reasons()
    lines += [f"  {count} x {reason}" for reason, count in reasons[:REASONS]]
    if len(reasons) > REASONS:
        lines.append(f"  and {sum(count for _, count in reasons[REASONS:])} for other reasons, see --json")
    return lines


def _notes(found: Explored) -> list[str]:
    """Notes on the validation of the front, and on quality where the feasible trials differ in head dimension or
    heads."""
    from memgrain.cli.trust_lines import trust_lines
    from memgrain.quality import size_notes
    from memgrain.runs.rows import read_rows

    front = {trial.row for trial in found.front}
    labels = trust_lines(row for row in read_rows(found.path) if row["id"] in front) if front else []
    return labels + size_notes(found.search.task(trial.chip, trial.overrides) for trial in found.feasible)


def _draw(found: Explored, folder: Path) -> list[Path]:
    """Write the figures; returns their paths."""
    from memgrain.errors import MemgrainError
    from memgrain.plots.coordinates import coordinates
    from memgrain.plots.pareto import pareto
    from memgrain.plots.slices import slices

    frame, objectives = found.frame(), dict(found.search.objectives)
    keys = _varying(found)
    drawn = {"slices": slices(frame, keys or found.keys, objectives, found.search.name)}
    if keys:
        drawn["coordinates"] = coordinates(frame, keys, objectives, found.search.name)
    if len(objectives) > 1:
        drawn["front"] = pareto(frame, objectives, found.search.name)
    written = []
    try:
        for name, figure in drawn.items():
            written.append(folder / f"{name}.png")
            figure.savefig(written[-1])
    except OSError as error:
        raise MemgrainError(f"cannot write {folder} ({error.strerror}); choose another place with -o") from None
    return written
