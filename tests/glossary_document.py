"""docs/glossary.md, written from what `memgrain explain` says: terms, metrics, parts of the time, counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from memgrain.hwmodels import load_chip
from memgrain.sim import METRICS
from memgrain.sim.breakdown import glossary
from memgrain.sim.breakdown.glossary import CAUSE_MEANINGS, meaning
from memgrain.sim.breakdown.terms import TERMS

GLOSSARY = Path(__file__).parent.parent / "docs" / "glossary.md"
CHIP = load_chip("toy")
"""The chip whose levels stand for a scratchpad (smem), a cache (l2), a memory (hbm) and a link (port)."""
LEVELS = {"smem": "a scratchpad", "l2": "a cache", "port": "a link", "hbm": "a memory"}
HEAD = """# Glossary

Every name that the tool prints, with its meaning. `memgrain explain NAME` prints the same sentence, for a number of a
chip also its value on every chip with the source, and for a metric the code that reads it. Keys of workloads and chips
are not repeated here. `make golden` writes this page.

"""
PARTS = """
## Parts of the time

The same names appear in four places. `stall.NAME` is a wait; `time.NAME_us` or `time.stall.NAME_us` is a column of
a row, the mean over all slots in µs. `bound.NAME_us` is the least time of a resource that any implementation needs on
this chip. `limit.NAME_us` is the time of it that this design needs, with its own bytes, commands, instructions and
padding. `bottleneck` and `advice` name the cause whose removal would save most. The name of a level is also a cause:
waits for that level.

"""
COUNTERS = """
## Counters

Counters are integers that add. `core.NAME` counts over all cores, `LEVEL.NAME` at a level, `LEVEL.TENSOR.NAME` for one
tensor, and `LEVEL.TENSOR.evicted_by.OTHER` lines of a tensor that made room for another one. The kind of a level
decides which counters it has.

"""


def _text(name: str) -> str:
    found = meaning(name, CHIP)
    assert found is not None, name
    return found.sentence


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _counters(of: Mapping[str, str], prefix: str) -> Iterable[tuple[str, str]]:
    return ((f"`{prefix}{name}`", sentence) for name, sentence in of.items())


def document() -> str:
    """The page."""
    terms = _table(("term", "meaning"), ((name, _text(name)) for name in sorted(TERMS, key=str.lower)))
    metrics = _table(
        ("metric", "unit", "better", "meaning"),
        ((f"`{name}`", found.unit, found.better, found.sentence) for name, found in METRICS.items()),
    )
    causes = [(f"`{name}`", found.sentence, found.change) for name, found in CAUSE_MEANINGS.items()]
    for level, kind in LEVELS.items():
        found = meaning(level, CHIP)
        assert found is not None
        causes.append((f"`{level}`: {kind}", found.sentence, found.change))
    core = _table(("counter", "meaning"), _counters(glossary._OF_CORE, "core."))
    of_level = _table(("counter", "meaning"), _counters(glossary._OF_LEVEL, "LEVEL."))
    return (
        f"{HEAD}## Terms\n\n{terms}\n## Metrics\n\n{metrics}{PARTS}"
        f"{_table(('name', 'meaning', 'what to change'), causes)}{COUNTERS}{core}\n{of_level}"
    )


def write_glossary() -> None:
    """Write docs/glossary.md."""
    GLOSSARY.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    write_glossary()
