"""`memgrain claims`: the article's claims put to the test."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memgrain.cli.options import AsJson, Jobs, TuneKeys

if TYPE_CHECKING:
    from rich.table import Table

    from memgrain.claims import CaseResult, ClaimResult

MARKS = {True: "yes", False: "no", None: "open"}
"""Whether a claim holds in a case, in a word."""


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIM]...", help="Claims by name, or .yaml files; all if left out.")
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Draws of the chips' uncertain numbers for an interval; 0 takes numbers as they stand.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder of the rows, which are kept; out/claims if left out.")
    ] = None,
    jobs: Jobs = None,
    tune: TuneKeys = None,
    document: Annotated[
        Path | None, typer.Option(help="A .md that is written with a figure for each claim beside it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Work out every case of the claims, then print verdicts, as told and with the facts."""
    from memgrain.claims import ExperimentOptions, load_claims, run_claims
    from memgrain.cli.tables import table
    from memgrain.cli.terminal import console
    from memgrain.errors import MemgrainError
    from memgrain.runs.options import RunOptions
    from memgrain.runs.tune import keys_of

    if samples == 1 or samples < 0:
        raise MemgrainError(f"samples is {samples}, must be 0 or at least 2; 8 are quick, 100 give steadier intervals")
    claims = load_claims(names or (), keys_of(tune) if tune is not None else ())
    notes, screen = console(stderr=True), console()

    def done(result: ClaimResult) -> None:
        notes.print(f"memgrain: {result.claim.name}: {_short(result)}", markup=False, soft_wrap=True)

    options = ExperimentOptions(RunOptions(out, jobs, samples=samples or None, seed=seed), draw=samples > 0)
    results = run_claims(claims, options, done)
    if document is not None:
        from memgrain.claims.document import write_document

        write_document(results, document)
    if as_json:
        print(json.dumps([answer(result) for result in results], indent=2))
    else:
        for result in results:
            screen.print(f"\n{result.claim.title}", style="bold")
            screen.print(_short(result), soft_wrap=True)
            screen.print(_cases(result))
            for matrix in result.matrices():
                shown = table(matrix.title, *(f">{column}" for column in matrix.columns))
                for name, numbers in matrix.rows:
                    shown.add_row(name, *(f"{number:.2f}" for number in numbers))
                screen.print(shown)
    failures = [case for result in results for case in result.cases if case.failure]
    if failures:
        notes.print(f"memgrain: {len(failures)} cases have no answer (see above)", markup=False)
        raise typer.Exit(2)


def answer(result: ClaimResult) -> dict[str, Any]:
    """Everything of a claim as plain values."""
    return {
        "claim": result.claim.name,
        "title": result.claim.title,
        "words": result.claim.words,
        "meaning": result.claim.meaning,
        "as_told": result.as_claimed or None,
        "with_the_facts": result.sourced or None,
        "cases": [_plain(case) for case in result.cases],
    }


def _plain(found: CaseResult) -> dict[str, Any]:
    finding = found.finding
    number = finding.found if finding else None
    return {
        "if": found.case.condition,
        "told": found.case.as_claimed,
        "measure": found.case.measure,
        "criterion": found.case.criterion.text,
        "holds": found.holds,
        "failure": found.failure or None,
        "found": number if isinstance(number, str) or number is None else [number.low, number.value, number.high],
        "unit": finding.unit if finding else None,
        "note": finding.note if finding else None,
        "command": finding.command if finding else None,
        "matrix": asdict(finding.matrix) if finding and finding.matrix else None,
    }


def _short(result: ClaimResult) -> str:
    parts = [("as told", result.as_claimed), ("with the facts", result.sourced)]
    return "; ".join(f"{when}: {verdict}" for when, verdict in parts if verdict)


def _cases(result: ClaimResult) -> Table:
    from memgrain.cli.tables import table

    found = table("", "holds", "if", "what was found", ">found", ">asked for")
    for case in result.cases:
        finding = case.failure or (case.finding.text if case.finding else "")
        found.add_row(
            "told" if case.case.as_claimed else "facts",
            MARKS[case.holds],
            case.case.condition,
            case.case.measure,
            finding,
            case.case.criterion.text,
        )
    return found
