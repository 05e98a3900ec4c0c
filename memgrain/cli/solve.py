"""`memgrain solve`: the value of a key at which a condition holds or a metric is best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, CacheState, ChipName, SetEither, WorkloadName

if TYPE_CHECKING:
    from collections.abc import Callable

    from memgrain.explore.solver import SolveResult, TriedValue


FIGURE = "contour.png"
"""File of a contour's figure, in the folder of its rows."""


def command(
    key: Annotated[str, typer.Argument(help="The key whose value is sought: l2.capacity, selection.ratio.")],
    chip: ChipName,
    workload: WorkloadName,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="CONDITION", help="What must hold: 'l2.hit_rate >= 0.95'.")
    ] = None,
    minimise: Annotated[str | None, typer.Option(metavar="METRIC", help="Seek where this is smallest.")] = None,
    maximise: Annotated[str | None, typer.Option(metavar="METRIC", help="Seek where this is largest.")] = None,
    largest: Annotated[
        bool, typer.Option("--largest", help="Seek the largest value for which it holds, not the smallest.")
    ] = False,
    low: Annotated[str | None, typer.Option(help="Smallest value; a 16th of the present one if left out.")] = None,
    high: Annotated[str | None, typer.Option(help="Largest value; 16 times the present one if left out.")] = None,
    step: Annotated[str | None, typer.Option(help="Distance of two values; whole sets of a cache if left out.")] = None,
    values: Annotated[str | None, typer.Option(metavar="V1,V2,...", help="Look at these values only.")] = None,
    contour: Annotated[
        str | None, typer.Option(metavar="KEY=V1,V2,...", help="Answer once for each of these values of another key.")
    ] = None,
    set_: SetEither = None,
    before: CacheState = "cold",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Folder to keep the rows in, which are not run again; a contour's figure too."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate as few points as will do, then print the value; ends with status 2 if there is none."""
    from memgrain.api.studies import solve
    from memgrain.runs.overrides import parse

    overrides = parse(set_ or [])

    def answer_with(more: dict[str, Any]) -> SolveResult:
        return solve(
            key,
            chip,
            workload,
            for_,
            minimise=minimise,
            maximise=maximise,
            largest=largest,
            low=_value(low),
            high=_value(high),
            step=_value(step),
            values=[_value(text) for text in values.split(",")] if values else (),
            set={**overrides, **more},
            before=before,
            out=out,
        )

    if contour is None:
        answer = answer_with({})
        print(json.dumps(_numbers(answer), indent=2)) if as_json else _print(answer)
        missing = answer.found is None
    else:
        name, answers = _contour(contour, {key, *overrides}, answer_with)
        _show_contour(name, answers, as_json)
        missing = all(answer.found is None for _, answer in answers)
        if out is not None and not missing:
            _draw(name, answers, largest, out / FIGURE)
    if missing:
        raise typer.Exit(2)


def _value(text: str | None) -> Any:
    """A value as --set reads it."""
    from memgrain.runs.overrides import parse_value

    return None if text is None else parse_value(text.strip())


def _contour(
    contour: str, taken: set[str], answer_with: Callable[[dict[str, Any]], SolveResult]
) -> tuple[str, list[tuple[Any, SolveResult]]]:
    """The other key, and the answer for each of its values."""
    from memgrain.errors import MemgrainError

    name, equals, values = contour.partition("=")
    name = name.strip()
    if not equals or not values.strip() or name in taken:
        raise MemgrainError(f"cannot read --contour '{contour}'; write KEY=V1,V2,... with a key that is not set yet")
    return name, [(value, answer_with({name: value})) for value in map(_value, values.split(","))]


def _show_contour(name: str, answers: list[tuple[Any, SolveResult]], as_json: bool) -> None:
    """Print the answers, as a table or one JSON list."""
    if as_json:
        print(json.dumps([{name: value} | _numbers(answer) for value, answer in answers], indent=2))
    else:
        _print_contour(name, answers)
    _say_sizes(answers, as_json)


def _numbers(answer: SolveResult) -> dict[str, Any]:
    """The JSON object."""

    def record(tried: TriedValue | None) -> dict[str, Any] | None:
        return None if tried is None else {"value": tried.value, answer.metric: tried.metric}

    return {
        "key": answer.query.key,
        "wanted": answer.wanted,
        "found": record(answer.found),
        "next": record(answer.beyond),
        "course": answer.trend,
        "bisected": answer.bisected,
        "exact": answer.exact,
        "values": answer.size,
        "evaluations": len(answer.tried),
        "tried": [record(tried) | ({"refused": tried.refused} if tried.refused else {}) for tried in answer.tried],  # type: ignore[operator]
    }


def _print(answer: SolveResult) -> None:
    from memgrain.cli.tables import table
    from memgrain.cli.terminal import console
    from memgrain.runs.labels import key_label, metric_label

    screen, query = console(), answer.query
    key = query.key
    screen.print(f"{key}: {_verdict(answer)}", style="bold", markup=False, soft_wrap=True)
    shown = table(f">{key_label(key)}", f">{metric_label(answer.column)}", "")
    for tried in answer.tried:
        if not tried.refused:
            style = "bold" if answer.found is not None and tried.text == answer.found.text else None
            shown.add_row(tried.text, _number(answer, tried), _note(answer, tried), style=style)
    screen.print(shown)
    for line in _how(answer):
        screen.print(line, markup=False, soft_wrap=True)


def _verdict(answer: SolveResult) -> str:
    """The answer in a sentence."""
    first, last = answer.ends
    if answer.found is None:
        return f"no value from {first} to {_text(answer, last)} gives {answer.wanted}"
    at = f"{_text(answer, answer.found.text)} ({answer.metric} {_number(answer, answer.found)})"
    if answer.best:
        return f"{answer.metric} is {answer.wanted} at {at}"
    if answer.beyond is None:
        return f"{answer.wanted} holds up to the end of the range, {at}"
    end = "largest" if _after(answer) else "smallest"
    after = _text(answer, answer.beyond.text)
    return f"{at} is the {end} for {answer.wanted}; at {after} it is {_number(answer, answer.beyond)}"


def _text(answer: SolveResult, value: str) -> str:
    """A value with the unit in which it is read."""
    from memgrain.runs.labels import key_label

    unit = key_label(answer.query.key).partition(" (")[2].removesuffix(")")
    return f"{value} {unit}".rstrip()


def _after(answer: SolveResult) -> bool:
    """Whether the value that fails comes after the one that was found."""
    order = [tried.text for tried in answer.tried]
    assert answer.found is not None
    assert answer.beyond is not None
    return order.index(answer.beyond.text) > order.index(answer.found.text)


def _how(answer: SolveResult) -> list[str]:
    """How it was found, and how sure it is."""
    first, last = answer.ends[0], _text(answer, answer.ends[1])
    refused = [tried for tried in answer.tried if tried.refused]
    trend = "stays the same" if answer.trend == "stays" else answer.trend
    way = (
        "so the rest was bisected"
        if answer.bisected
        else "all values were tried"
        if len(answer.tried) == answer.size
        else "all values up to the answer were tried"
        if answer.exact
        else "so a grid was tried: a better value may lie between"
    )
    where = "the samples" if answer.bisected else "those"
    lines = [
        f"{len(answer.tried)} of {answer.size:,} values from {first} to {last} tried; {answer.metric} {trend} over "
        f"{where}, {way}"
    ]
    if refused:
        lines.append(f"{len(refused)} values are refused, first {refused[0].text}: {refused[0].refused}")
    return lines


def _note(answer: SolveResult, tried: TriedValue) -> str:
    if answer.best:
        return answer.wanted if answer.found is not None and tried.text == answer.found.text else ""
    return "holds" if tried.holds else "fails"


def _number(answer: SolveResult, tried: TriedValue) -> str:
    from memgrain.runs.labels import scale

    return "–" if tried.metric is None else f"{scale(answer.column) * tried.metric:.6g}"


def _print_contour(name: str, answers: list[tuple[Any, SolveResult]]) -> None:
    from memgrain.cli.tables import table
    from memgrain.cli.terminal import console
    from memgrain.runs.labels import key_label, metric_label, words

    screen, (_, first) = console(), answers[0]
    wanted = f"{first.wanted} {first.metric}" if first.best else first.wanted
    screen.print(f"{first.query.key} for {wanted}, by {name}", style="bold", markup=False, soft_wrap=True)
    label = metric_label(first.column)
    shown = table(
        f">{key_label(name)}",
        f">{key_label(first.query.key)}",
        f">{label}",
        ">next value",
        f">{label}",
        ">tried",
        "",
    )
    for value, answer in answers:
        found, beyond = answer.found, answer.beyond
        cells = (found.text, _number(answer, found)) if found else ("none", "–")
        after = (beyond.text, _number(answer, beyond)) if beyond else ("–", "–")
        how = "bisected" if answer.bisected else "all tried" if answer.exact else "a grid tried"
        shown.add_row(words(name, value), *cells, *after, str(len(answer.tried)), how)
    screen.print(shown)


def _say_sizes(answers: list[tuple[Any, SolveResult]], as_json: bool) -> None:
    """Print the note on quality where the answers have several head dimensions or numbers of heads."""
    from memgrain.cli.terminal import console
    from memgrain.quality import size_notes

    tasks = [answer.query.task({answer.query.key: answer.found.value}) for _, answer in answers if answer.found]
    for note in size_notes(tasks):
        console(stderr=as_json).print(note, markup=False, soft_wrap=True)


def _draw(name: str, answers: list[tuple[Any, SolveResult]], largest: bool, path: Path) -> None:
    """Write the figure of a contour, and say where it is."""
    from memgrain.cli.terminal import console
    from memgrain.errors import MemgrainError
    from memgrain.plots.solved import solved

    try:
        solved(name, answers, largest).savefig(path)
    except OSError as error:
        raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another folder with -o") from None
    console(stderr=True).print(f"memgrain: figure: {path}", markup=False, soft_wrap=True)
