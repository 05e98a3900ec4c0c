"""The result of a calibration as a chip file that extends the chip, and as plain figures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memgrain.calibration.run import Calibration, FittedNumber
from memgrain.hwmodels import Chip
from memgrain.sim import MODEL_VERSION

WIDTH = 120
SOURCE = "CAL"
"""Key of the source in the chip file."""


def figures(found: Calibration) -> dict[str, Any]:
    """The content of `--json`: each parameter, and errors by family before and after as fractions; None if not known
    yet."""
    return {
        "chip": found.file.chip.name,
        "rows": len(found.sample),
        "numbers": {item.fit.key: _figures(item) for item in found.fitted},
        "skipped": found.skipped,
        "families": _before_and_after(found),
        "finished": bool(found.after),
    }


def fragment(found: Calibration) -> str:
    """YAML of the parameters found so far, which can be loaded as a chip that extends the calibrated one."""
    chip = found.file.chip
    names = ", ".join(path.name for path in found.files)
    families = [
        f"{family} {_percent(errors['before'])} -> {_percent(errors['after'])} %"
        for family, errors in _before_and_after(found).items()
    ]
    head = [
        f"Numbers of {chip.name} as fitted to {len(found.sample)} of {found.available} rows of {names}.",
        *([f"Time was off by (before -> after): {', '.join(families)}."] if families else []),
        *([] if found.after else ["Unfinished: the fit was interrupted."]),
        *(f"Not fitted: {reason}." for reason in found.skipped.values()),
        *(
            f"Not fitted: the rows say nothing of {item.fit.key} ({item.fit.why})."
            for item in found.fitted
            if _idle(item)
        ),
    ]
    lines = [line for text in head for line in textwrap.wrap(text, WIDTH - 2)]
    tree: dict[str, Any] = {}
    for item in found.fitted:
        if item.found is not None and not _idle(item):
            _put(tree, chip, item.fit.key.split("."), _entry(item))
    return "\n".join(
        [
            *(f"# {line}" for line in lines),
            f"extends: {Path(found.chip).stem}",
            "sources:",
            f'  {SOURCE}: "memgrain calibrate {names} --chip {chip.name} (model {MODEL_VERSION})"',
            *_written(tree, 0),
            "",
        ]
    )


def _figures(item: FittedNumber) -> dict[str, Any]:
    found = item.found
    return {
        "value": item.value,
        "was": item.quantity.text(item.quantity.value),
        "bounds": [item.quantity.text(item.quantity.low), item.quantity.text(item.quantity.high)],
        "range": list(item.range) if item.range else None,
        "open": None if found is None else {"low": found.open_low, "high": found.open_high},
        "at_bound": found.bound if found else None,
        "determined": None if found is None or found.interval is None else not found.idle,
        "rows": len(item.rows),
        "error_before": item.before,
        "error_after": found.error if found else None,
    }


def _idle(item: FittedNumber) -> bool:
    """Whether the errors of its rows hardly depend on the parameter."""
    return item.found is not None and item.found.idle


def _before_and_after(found: Calibration) -> dict[str, dict[str, float | None]]:
    before, after = found.families(found.before), found.families(found.after)
    return {family: {"before": before[family], "after": after.get(family)} for family in before}


def _entry(item: FittedNumber) -> dict[str, Any]:
    """Value, kind, source, range and reason as in chip files."""
    assert item.found is not None
    rows = f"{len(item.rows)} row{'s' if len(item.rows) != 1 else ''}"
    reason = f"fitted to {rows} ({item.fit.why}), off by {_percent(item.before)} % with "
    reason += f"{item.quantity.text(item.quantity.value)} and {_percent(item.found.error)} % now"
    if item.found.bound is not None:
        reason += f"; stopped at the {'lower' if item.found.bound == 'low' else 'upper'} bound of the old range"
    closed = [end for end, stays in (("low", item.found.open_low), ("high", item.found.open_high)) if stays]
    if item.range is not None and closed:
        reason += f"; the rows do not say how {' or '.join(closed)} it may be"
    limits = item.range or (item.quantity.text(item.quantity.low), item.quantity.text(item.quantity.high))
    return {"value": item.value, "kind": "derived", "source": SOURCE, "range": limits, "reason": reason}


def _put(tree: dict[str, Any], chip: Chip, path: list[str], entry: dict[str, Any]) -> None:
    """Insert an entry at the parameter's location in the chip file; cores and levels are named records in lists."""
    if len(path) == 1:
        tree[path[0]] = entry
        return
    name, *rest = path
    core = next((core for core in chip.cores if name in (core.name, *(level.name for level in core.near))), None)
    records = tree.setdefault("memory" if core is None else "cores", [])
    if core is not None and name != core.name:
        records = _named(records, core.name).setdefault("near", [])
    node = _named(records, name)
    for key in rest[:-1]:
        node = node.setdefault(key, {})
        if key == "standard":
            node.setdefault("extends", chip.dram.standard.name)
    node[rest[-1]] = entry


def _named(records: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = next((record for record in records if record["name"] == name), None)
    if found is None:
        found = {"name": name}
        records.append(found)
    return found


def _written(node: Mapping[str, Any], indent: int) -> list[str]:
    """A mapping as block YAML; a parameter with its provenance becomes one flow mapping, as in the shipped chips."""
    lines: list[str] = []
    space = " " * indent
    for key, item in node.items():
        if isinstance(item, list):
            lines.append(f"{space}{key}:")
            for record in item:
                first, *rest = _written(record, indent + 4)
                lines += [f"{space}  - {first.strip()}", *rest]
        elif isinstance(item, dict) and "value" in item:
            low, high = item["range"]
            text = f"{key}: {{value: {item['value']}, kind: {item['kind']}, source: {item['source']}, "
            text += f'range: [{low}, {high}], reason: "{item["reason"]}"}}'
            lines += textwrap.wrap(
                text, WIDTH, initial_indent=space, subsequent_indent=space + "  ", break_on_hyphens=False
            )
        elif isinstance(item, dict):
            lines += [f"{space}{key}:", *_written(item, indent + 2)]
        else:
            lines.append(f"{space}{key}: {item}")
    return lines


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"
