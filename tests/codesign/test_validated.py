"""Does a result say how far its kind was off on its chip, and nothing of a chip or a kind that was not measured?"""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from codesign import validated
from codesign.cli import app
from codesign.task import Task
from codesign.validated import Validated

MEASURED = [
    Validated("toy", "decode", "clean", 12, 0.05, 0.11, 0.2),
    Validated("toy", "decode", "dirty", 1, 0.5, 0.5, 0.5),
]


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {(row.chip, row.family, row.caches): row for row in MEASURED}
    monkeypatch.setattr(validated, "_table", lambda: table)


@pytest.mark.parametrize(
    ("chip", "chip_set", "workload", "before", "sentence", "rows"),
    [
        ("toy", {}, "decode_topk", "cold", "validated on 12 rows of decode (p90 11.0%, worst 20.0%)", 12),
        ("toy", {}, "decode_topk", "dirty", "validated on 1 row of decode from dirty caches (", 1),
        ("toy", {"l2.ways": 32}, "decode_topk", "cold", "validated on the unmodified chip: ± 5.0% on 12 rows", None),
        ("toy", {"l2.ways": 16}, "decode_topk", "cold", "validated on 12 rows of decode", 12),
        ("toy", {}, "prefill_causal", "cold", "not validated on this chip", None),
        ("h100_sxm", {}, "decode_topk", "cold", "not validated on this chip", None),
    ],
)
def test_a_point_knows_the_error_of_its_kind(
    chip: str, chip_set: dict[str, int], workload: str, before: str, sentence: str, rows: int | None
) -> None:
    point = Task(chip, chip_set, workload, {}, before).resolve()
    found = validated.trust(point.chip, point.workload, point.before)
    assert found.sentence.startswith(sentence)
    assert found.columns()["validated_rows"] == rows
    assert (found.interval == "") is (rows is None)


def test_rows_and_the_terminal_show_it() -> None:
    row = Task("toy", {}, "decode_topk", {"shape.kv_len": 4096}).run()
    assert (row["validated_error"], row["validated_rows"]) == (0.05, 12)
    shown = CliRunner().invoke(app, ["run", "toy", "decode_topk", "--set", "shape.kv_len=4096"]).output
    assert re.search(r"time \S+ us ± 5\.0%   bound .*\nvalidated on 12 rows of decode \(", shown)


def test_the_shipped_figures_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert all(0 <= row.error <= row.worst and row.rows > 0 for row in validated._table().values())
