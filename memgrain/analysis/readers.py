"""The functions that read a number: a table that `tests/readers_table.py` writes from the source."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "readers.json"


def readers(name: str) -> list[str]:
    """Functions that read a metric ('time_us'), a key of a workload ('shape.head_dim') or a field of a record of a chip
    ('Cache.ways'), as 'file:function'; found by the name, so that one may be listed that reads another number of it.
    """
    return list(_table().get(name, ()))


@cache
def _table() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found
