"""DEVIATIONS.md names every assumed number of every shipped chip, with what would settle it.

`make golden` writes the table anew from the chip files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from memgrain import hwmodels

ROOT = Path(__file__).parent.parent
FILE = ROOT / "DEVIATIONS.md"
BEGIN, END = "<!-- table of assumed numbers: begin -->", "<!-- table of assumed numbers: end -->"

EXPERIMENTS = {
    "chase": "latency far_latency partitions",
    "granule": "fill_granule smallest_access sector line largest smallest uncached",
    "cliff": "ways replacement replicate write_allocate capacity",
    "stride": "set_hash channels interleave channel_hash slices",
    "bandwidth": "bandwidth write_bandwidth max_bytes_in_flight",
    "copy": "dma_startup dma_rows dma_row dma_merge alignment banks bank_width interval piece",
    "launch": "launch_overhead mixed_launch barrier program_start",
    "compute": "m n k fp32 bf16 fp16 fp8 int8 exps_per_cycle ops_per_cycle clock count tile macs_per_cycle sync_share",
    "dram": "window page_policy write_batch ranks tRTRS",
}
"""The experiments of DEVIATIONS.md by name, each with the last part of the names of the numbers it settles."""

Row = tuple[str, str, str, str, str]


def assumed(chip: str) -> dict[str, Row]:
    """The assumed numbers of a chip as rows of the table, by dotted name."""
    found = {}
    for path, item in hwmodels.read_chip(chip).provenance.items():
        if item.kind == "assumed":
            assert item.range is not None
            low, high = (str(limit).lower() if isinstance(limit, bool) else str(limit) for limit in item.range)
            value = str(item.value).lower() if isinstance(item.value, bool) else str(item.value)
            reason = item.reason.replace("|", "\\|")
            found[path] = (f"`{path}`", value, f"{low} to {high}", reason, experiment(path))
    return found


def experiment(path: str) -> str:
    """Name of the experiment that settles a number."""
    if path.startswith("interconnect."):
        return "links"
    last = path.split(".")[-1]
    return next(name for name, settled in EXPERIMENTS.items() if last in settled.split())


def parent(chip: str) -> str | None:
    """The chip that a chip's file extends."""
    text = (ROOT / "hwmodels" / "chips" / f"{chip}.yaml").read_text(encoding="utf-8")
    extended = yaml.safe_load(text).get("extends")
    return None if extended is None else str(extended)


def section(chip: str) -> Iterator[str]:
    """The lines of one chip: all of its assumed numbers, or those in which it differs from the chip it extends."""
    rows, base = assumed(chip), parent(chip)
    inherited = assumed(base) if base else {}
    own = [row for path, row in rows.items() if inherited.get(path) != row]
    known = [f"`{path}`" for path in inherited if path not in rows]
    yield f"### `{chip}`: {len(rows)} of {len(hwmodels.read_chip(chip).provenance)} numbers"
    yield ""
    if base:
        yield f"As `{base}`" + (", but for:" if own else "; no assumption of its own.")
        yield ""
    if own:
        yield "| number | value | range | why | settled by |"
        yield "| --- | --- | --- | --- | --- |"
        yield from (f"| {' | '.join(row)} |" for row in own)
        yield ""
    if known:
        yield f"No assumption here: {', '.join(known)}."
        yield ""


def table() -> str:
    """The table of all chips as it stands in the file."""
    lines = [line for chip in hwmodels.chip_names() for line in section(chip)]
    return "\n".join([BEGIN, "", *lines, END])


def test_the_table_is_that_of_the_chip_files() -> None:
    text = FILE.read_text(encoding="utf-8")
    kept = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert kept == table(), "the chips' assumptions changed; run `make golden` and read what it changed"


@pytest.mark.parametrize("chip", hwmodels.chip_names())
def test_every_assumed_number_is_named(chip: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    sections = {part.split("`")[1]: part for part in text[text.index(BEGIN) :].split("\n### ")[1:]}
    places, name = [], chip
    while name:
        places.append(sections[name])
        name = parent(name) or ""
    for path in assumed(chip):
        assert any(f"`{path}`" in place for place in places), f"{path} of {chip} is not in DEVIATIONS.md"


def test_every_experiment_is_described() -> None:
    text = FILE.read_text(encoding="utf-8")
    for name in EXPERIMENTS:
        assert f"- **{name}**: " in text


def write() -> None:
    """Write the table anew."""
    text = FILE.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) + len(END) :]
    FILE.write_text(before + table() + after, encoding="utf-8")


if __name__ == "__main__":
    write()
