"""The rows of three example workloads on two chips are what they were: a change of the model shows here, on purpose.

`make golden` writes the files anew; the difference belongs in the commit that causes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import memgrain

FOLDER = Path(__file__).parent / "golden"
CHIPS = ("toy", "h100_sxm")
WORKLOADS: dict[str, dict[str, int]] = {
    "decode_hierarchical": {},
    "decode_paged": {},
    "prefill_window": {"shape.q_len": 2048, "shape.kv_len": 2048, "pattern.window": 512},
}
"""Shipped examples, each with what shortens it to a second."""


def row(chip: str, workload: str) -> dict[str, Any]:
    """The row as JSON keeps it."""
    return dict(json.loads(json.dumps(memgrain.run(chip, workload, set=WORKLOADS[workload]).row())))


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("chip", CHIPS)
def test_row_is_what_it_was(chip: str, workload: str) -> None:
    kept = json.loads((FOLDER / f"{chip}_{workload}.json").read_text(encoding="utf-8"))
    found = row(chip, workload)
    assert found == kept, "the model's answer changed; if it was meant to, raise MODEL_VERSION and run `make golden`"


def write() -> None:
    """Write all rows anew."""
    FOLDER.mkdir(exist_ok=True)
    for chip in CHIPS:
        for workload in WORKLOADS:
            text = json.dumps(row(chip, workload), indent=1) + "\n"
            (FOLDER / f"{chip}_{workload}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
