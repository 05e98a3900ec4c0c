"""docs/whatifs.md: ten what-ifs of architects on five chips, computed anew by `make whatifs`."""

from __future__ import annotations

from pathlib import Path

from memgrain.analysis.whatif import CHANGES, WhatIf, what_if
from memgrain.analysis.whatif.changes import EITHER, FASTER
from memgrain.hwmodels import load_chip
from memgrain.runs.task import Task
from memgrain.sim import MODEL_VERSION

DOCUMENT = Path(__file__).parent.parent / "docs" / "whatifs.md"
CHIPS = ("h100_sxm", "b200", "ascend_910b2", "mlu370_x8", "tpu_v5p")
WORKLOADS = {"decode_dense": "All tokens are read", "decode_topk": "Selected rows are gathered"}
HEAD = f"""# Ten what-ifs on five chips

One number of the chip changes at a time, or, where one number alone would be a contradiction, those that go together.
`memgrain whatif CHIP WORKLOAD` prints such a table for any chip and workload; `make whatifs` writes this page. Version
of the model: {MODEL_VERSION}.

The effect is the change of the time. "Why" names the part of the time that moved most (`memgrain explain stall.hbm`
says what a part is), or what the time goes to where nothing moved. An effect below 1 % counts as none. "Against
physics" marks a time that moved the other way by over 5 %: tiles and splits left open are chosen anew for the
changed chip, and that choice was a poor one.

| change | the time may | physics |
| --- | --- | --- |
"""


def document() -> str:
    """The page."""
    parts = [HEAD + "\n".join(f"| {item.name} | {_may(item.direction)} | {item.physics} |" for item in CHANGES) + "\n"]
    for workload, title in WORKLOADS.items():
        parts.append(f"## {title}: `{workload}`\n")
        for chip in CHIPS:
            parts.append(_section(chip, workload, what_if(Task(chip, {}, workload, {}))))
    return "\n".join(parts)


def _may(direction: int) -> str:
    return "go either way" if direction == EITHER else "fall" if direction == FASTER else "rise"


def _section(chip: str, workload: str, found: tuple[WhatIf, ...]) -> str:
    lines = [
        f"### {load_chip(chip).title}: {found[0].before['time_us']:,.4g} µs\n",
        "| change | time, µs | effect | why |",
        "| --- | ---: | ---: | --- |",
    ]
    for item in found:
        time = f"{item.after['time_us']:,.4g}" if item.after else "–"
        effect = "–" if item.effect is None else f"{100 * item.effect + 0.0:+.1f} %"
        against = " **(against physics)**" if item.plausible is False else ""
        lines.append(f"| {item.change.name} | {time} | {effect} | {item.reason}{against} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
