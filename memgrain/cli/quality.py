"""`memgrain quality`: published scores of sparse attention and what lies between them; attention mass recalled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson
from memgrain.cli.tokens import token_count
from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    from rich.table import Table

    from memgrain.quality.recall import Recalled
    from memgrain.quality.tables import PublishedScore, Score

RECALL_KEYS = ("ratio", "page", "selection", "share", "context")


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="METHOD", help="A method of the published rows; all are listed if left out."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="What a step reads: a share of the context if at most 1, else tokens.")
    ] = None,
    context: Annotated[int | None, typer.Option(parser=token_count, metavar="TOKENS", help="Tokens.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="A benchmark of the published rows; ruler if left out.")] = None,
    task: Annotated[str | None, typer.Option(help="One task of it; their average if left out.")] = None,
    model: Annotated[str | None, typer.Option(help="A model of the published rows; all if left out.")] = None,
    recall: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUE...",
            help="Attention mass recalled instead of a score: ratio=0.05, and if wanted page=64, "
            "selection=pages_bound, share=layer, context=2048.",
        ),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the figures.")] = None,
) -> None:
    """Print scores beside those of full attention, their rows and sources; or the mass that a selection recalls."""
    options = {"--budget": budget, "--context": context, "--benchmark": benchmark, "--task": task, "--model": model}
    given = [option for option, value in options.items() if value is not None and not (out and option == "--benchmark")]
    if given and (recall is not None or not words or budget is None):
        rule = "cannot stand with --recall" if recall is not None else "is of a question about a method at a budget"
        raise MemgrainError(f"{given[0]} {rule}; ask such as 'memgrain quality quest --budget 0.0156'")
    if out is not None:
        _draw(out, benchmark or "ruler")
    if recall is not None:
        _show_recall([recall, *(words or [])], as_json)
    elif not words:
        _list(as_json)
    elif len(words) > 1:
        raise MemgrainError(f"one method at a time, got {' '.join(words)}; with --recall give KEY=VALUE")
    elif budget is None:
        _list(as_json, words[0])
    else:
        _show_scores(words[0], budget, benchmark or "ruler", task or "average", model, context, as_json)


def _draw(out: Path, benchmark: str) -> None:
    from memgrain.plots.quality import masses, scores

    drawn = {f"scores_{benchmark}": scores(benchmark), "recalled_mass": masses()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            figure.savefig(out / f"{name}.png")
    except OSError as error:
        raise MemgrainError(f"cannot write in {out} ({error.strerror}); choose another folder with -o") from None


def _show_scores(
    method: str, budget: float, benchmark: str, task: str, model: str | None, context: int | None, as_json: bool
) -> None:
    """One model's score, or every model's that has one."""
    from memgrain.cli.terminal import console
    from memgrain.quality import CONDITIONS, floor
    from memgrain.quality.tables import models

    found: list[Score] = []
    refused: list[str] = []
    for name in [model] if model else models(method, benchmark, task):
        try:
            found.append(floor(method, budget, benchmark, name, context, task))
        except MemgrainError as error:
            refused.append(str(error))
    if not found:
        raise MemgrainError(refused[0])
    if as_json:
        print(json.dumps({"scores": [_score(item) for item in found], "refused": refused, "notes": [CONDITIONS]}))
        return
    screen = console()
    unit = f"a budget of {budget:.4g} of the context" if budget <= 1 else f"a budget of {budget:,.0f} tokens"
    screen.print(f"{method}, {benchmark} ({task}), {unit}", style="bold")
    screen.print(_scores(found))
    for line in refused:
        screen.print(f"not shown: {line}", markup=False, style="dim")
    screen.print(f"\n{CONDITIONS}", markup=False)


def _scores(found: list[Score]) -> Table:
    from memgrain.cli.tables import table

    shown = table("model", ">context", ">score", ">full attention", ">difference", "from", "source")
    for item in found:
        for answer in item.answers:
            rows = [_budget(row) for row in answer.rows]
            shown.add_row(
                item.model,
                _context(item.context),
                f"{answer.score:.2f}",
                f"{answer.full:.2f}",
                f"{answer.difference:+.2f}",
                f"between {rows[0]} and {rows[1]}" if answer.interpolated else f"the row at {rows[0]}",
                answer.rows[0].source,
            )
    return shown


def _score(item: Score) -> dict[str, Any]:
    """A score as plain values."""
    return {
        **{key: getattr(item, key) for key in ("method", "model", "benchmark", "task", "context", "budget")},
        **{key: getattr(item, key) for key in ("low", "high", "difference")},
        "answers": [
            {
                "score": answer.score,
                "full": answer.full,
                "difference": answer.difference,
                "interpolated": answer.interpolated,
                "rows": [row.model_dump() for row in answer.rows],
            }
            for answer in item.answers
        ],
    }


def _list(as_json: bool, method: str | None = None) -> None:
    """The methods and what papers say beside them, or the rows of one method."""
    from memgrain.cli.terminal import console
    from memgrain.inputs.spelling import suggest
    from memgrain.quality import CONDITIONS, NOT_A_SCORE, findings, published

    rows = [row for row in published() if method in (None, row.method)]
    if not rows:
        known = list(dict.fromkeys(row.method for row in published()))
        raise MemgrainError(f"no published row of method '{method}'{suggest(str(method), known)}")
    notes = [CONDITIONS, f"Attention mass is another axis: memgrain quality --recall ratio=0.05. {NOT_A_SCORE}"]
    if as_json:
        data = [{**row.model_dump(), "share": row.share, "tokens": row.tokens} for row in rows]
        others = [vars(found) for found in findings()] if method is None else []
        print(json.dumps({"rows": data, "findings": others, "notes": notes}, indent=2))
        return
    screen = console()
    for shown in [_methods(rows), _findings()] if method is None else [_rows(rows)]:
        screen.print(shown)
        screen.print()
    for note in notes:
        screen.print(note, markup=False)


def _methods(rows: list[PublishedScore]) -> Table:
    """A line for each method and benchmark: its averages, where they were measured, and how far from full attention;
    single tasks are counted."""
    from memgrain.cli.tables import table
    from memgrain.quality.tables import AVERAGE

    shown = table("method", "benchmark", ">contexts", "budgets", ">rows", ">less full", ">tasks", "models", "source")
    for method, benchmark in dict.fromkeys((row.method, row.benchmark) for row in rows):
        every = [row for row in rows if (row.method, row.benchmark) == (method, benchmark)]
        here = [row for row in every if row.task == AVERAGE] or every
        contexts = sorted({row.context for row in here if row.context is not None})
        budgets = dict.fromkeys(_budget(row) for row in sorted(here, key=lambda row: row.budget))
        differences = sorted(row.score - row.full for row in here)
        tasks = len({row.task for row in every} - {AVERAGE})
        shown.add_row(
            method,
            benchmark,
            _ends([f"{context // 1024}K" for context in contexts]),
            _ends(list(budgets)),
            str(len(every)),
            _ends([f"{difference:+.1f}" for difference in differences]),
            str(tasks or "–"),
            ", ".join(dict.fromkeys(row.model for row in here)),
            here[0].source.split(",")[0],
        )
    return shown


def _rows(rows: list[PublishedScore]) -> Table:
    """Each row of a method; a budget that follows from the other is in brackets."""
    from memgrain.cli.tables import table

    shown = table("model", "benchmark", ">context", ">share", ">tokens", ">score", ">full", "source")
    for row in rows:
        share = "–" if row.share is None else f"{row.share:.3g}"
        tokens = "–" if row.tokens is None else f"{row.tokens:,.0f}"
        if row.context is not None:
            share, tokens = (share, f"({tokens})") if row.given == "share" else (f"({share})", tokens)
        scores = (f"{row.score:g}", f"{row.full:g}")
        shown.add_row(row.model, _asked(row), _context(row.context), share, tokens, *scores, row.source)
    return shown


def _findings() -> Table:
    from memgrain.cli.tables import table
    from memgrain.quality import findings

    shown = table("what papers say beside such rows", "figure", "source")
    for found in findings():
        shown.add_row(found.what, found.figure, found.source)
    return shown


def _show_recall(words: list[str], as_json: bool) -> None:
    from memgrain.cli.terminal import console
    from memgrain.quality import CONDITIONS, NOT_A_SCORE
    from memgrain.quality.recall import SELECTIONS, SHARES, SMALL

    found = _recalled(words)
    low, high = found.low, found.high
    notes = [NOT_A_SCORE, SMALL, CONDITIONS]
    if as_json:
        figures = {"mean": found.mean, "lowest": low, "highest": high, "notes": notes}
        print(json.dumps({**vars(found), **figures}, indent=2))
        return
    screen = console()
    pages = f", pages of {found.page}" if found.page > 1 else ""
    screen.print(
        f"{found.mean:.1%} of the attention mass at {found.ratio:.4g} of {found.context:,} tokens", style="bold"
    )
    screen.print(f"selection: {found.selection}{pages} ({SELECTIONS[found.selection]}); {SHARES[found.share]}")
    screen.print(f"layers: {low[0]:.1%} (layer {low[1]}) to {high[0]:.1%} (layer {high[1]})")
    screen.print("texts: " + ", ".join(f"{text} {mass:.1%}" for text, mass in found.texts.items()))
    ends = [f"{ratio:g}" for ratio in found.between]
    screen.print(f"between the measured {ends[0]} and {ends[1]}" if len(ends) == 2 else f"measured at {ends[0]}")
    for note in notes:
        screen.print(f"\n{note}", markup=False)


def _recalled(words: list[str]) -> Recalled:
    """The recall that KEY=VALUE words describe."""
    from memgrain.quality import recall

    given = {}
    for word in (part for text in words for part in text.replace(",", " ").split()):
        key, equals, value = word.partition("=")
        if not equals or key not in RECALL_KEYS:
            raise MemgrainError(f"--recall '{word}' must be KEY=VALUE of {', '.join(RECALL_KEYS)}, such as ratio=0.05")
        given[key] = value
    if "ratio" not in given:
        raise MemgrainError("--recall needs a ratio; give one such as ratio=0.05")
    page = _number("page", given.get("page", "1"))
    context = _number("context", given["context"]) if "context" in given else None
    try:
        ratio = float(given["ratio"])
    except ValueError:
        raise MemgrainError(f"--recall ratio '{given['ratio']}' must be a number; give one such as 0.05") from None
    selection = given.get("selection", "pages_sum" if page > 1 else "tokens")
    return recall(ratio, selection, page, given.get("share", "layer" if selection == "window" else "head"), context)


def _number(key: str, value: str) -> int:
    if not value.isdecimal():
        raise MemgrainError(f"--recall {key} '{value}' must be a whole number of tokens; give one such as 64")
    return int(value)


def _ends(texts: list[str]) -> str:
    """The first and the last text."""
    return " to ".join(dict.fromkeys((texts[0], texts[-1]))) if texts else "–"


def _budget(row: PublishedScore) -> str:
    """The budget as the source gives it."""
    return f"{row.budget:g}" if row.given == "share" else f"{row.budget:,.0f} tokens"


def _asked(row: PublishedScore) -> str:
    return row.benchmark if row.task == "average" else f"{row.benchmark} {row.task}"


def _context(tokens: int | None) -> str:
    return "–" if tokens is None else f"{tokens:,}"
