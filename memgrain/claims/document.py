"""The claims as a page: verdicts, the result of each case, the commands that reproduce it, and a figure for each
claim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memgrain.claims.result import ResultMatrix
from memgrain.claims.run import CaseResult, ClaimResult
from memgrain.errors import MemgrainError
from memgrain.sim import MODEL_VERSION

HEAD = f"""# The article's claims, put to the test

*DeepSeek V4: How Domestic Chips Unlock Million-Token AI for the Masses* (AINews, April 2026) is where this project
began. Each of its claims below is decided by experiments, twice where that can be: *as told*, on chips and with numbers
as the article describes them, and *with the facts*, on chips and with numbers as their sources do. `memgrain claims`
works all of it out and `make claims` writes this page; nothing in it is written by hand. Version of the model:
{MODEL_VERSION}.

A claim holds in a case if the whole interval of what was found meets the criterion, does not if none of it does, and is
open otherwise. Intervals hold nine of ten draws of the chips' uncertain numbers and of the model's validated error; of
whole models, of that error alone; of costs, every price and rate at its worse end at once. Cases as told take the
article's numbers as they stand.
"""
MARKS = {True: "yes", False: "no", None: "open"}


def write_document(results: Sequence[ClaimResult], path: Path) -> None:
    """Write the page, and the figures into a folder of the same name. Raises MemgrainError if they cannot be
    written."""
    from memgrain.claims.figure import claim_figure

    folder = path.with_suffix("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for result in results:
            claim_figure(result).savefig(folder / f"{result.claim.name}.png")
        path.write_text("\n".join([HEAD, _summary(results), *(_section(result, folder) for result in results)]) + "\n")
    except OSError as error:
        raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another place") from None


def _summary(results: Sequence[ClaimResult]) -> str:
    lines = ["| claim | as told | with the facts |", "| --- | --- | --- |"]
    for result in results:
        link = f"[{result.claim.title}](#{_anchor(result.claim.title)})"
        lines.append(f"| {link} | {result.as_claimed or '–'} | {result.sourced or '–'} |")
    return "\n".join(lines) + "\n"


def _section(result: ClaimResult, folder: Path) -> str:
    claim = result.claim
    words = "\n>\n".join(f"> {' '.join(part.split())}" for part in claim.words)
    verdicts = [f"**As told:** {result.as_claimed}." if result.as_claimed else ""]
    verdicts += [f"**With the facts:** {result.sourced}." if result.sourced else ""]
    parts = [
        f"## {claim.title}\n",
        f"{words}\n",
        f"{claim.meaning}\n",
        "\n\n".join(part for part in verdicts if part) + "\n",
        _table(result.cases),
        *(_matrix(matrix) for matrix in result.matrices()),
        f"![{claim.title}]({folder.name}/{claim.name}.png)\n",
        f"{claim.remark}\n" if claim.remark else "",
        _commands(result.cases),
    ]
    return "\n".join(part for part in parts if part)


def _table(cases: Sequence[CaseResult]) -> str:
    lines = ["| | holds | if | what was found | found | asked for |", "| --- | --- | --- | --- | ---: | ---: |"]
    for found in cases:
        case = found.case
        text = found.failure or (found.finding.text if found.finding else "")
        kind = "told" if case.as_claimed else "facts"
        lines.append(
            f"| {kind} | {MARKS[found.holds]} | {case.condition} | {case.measure} | {text} | {case.criterion.text} |"
        )
    return "\n".join(lines) + "\n"


def _matrix(matrix: ResultMatrix) -> str:
    lines = [f"| {matrix.title} | {' | '.join(matrix.columns)} |", f"| --- |{' ---: |' * len(matrix.columns)}"]
    lines += [f"| {name} | {' | '.join(f'{number:.2f}' for number in numbers)} |" for name, numbers in matrix.rows]
    return "\n".join(lines) + "\n"


def _commands(cases: Sequence[CaseResult]) -> str:
    commands = dict.fromkeys(found.finding.command for found in cases if found.finding and found.finding.command)
    notes = dict.fromkeys(found.finding.note for found in cases if found.finding and found.finding.note)
    parts = ["```\n" + "\n".join(commands) + "\n```\n"] if commands else []
    parts += ["\n".join(f"- {note}" for note in notes) + "\n"] if notes else []
    return "\n".join(parts)


def _anchor(title: str) -> str:
    """The anchor that GitHub generates for a heading."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")
