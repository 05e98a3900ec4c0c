"""Numbers with and without units as one kind of thing: 16, 0.05, "32 MiB"; read into base units and written back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codesign.errors import CodesignError
from codesign.labels import value_text
from codesign.quantities import UNITS, Unit

Number = int | float


def read(value: Any, where: str) -> tuple[Number, Unit | None]:
    """A number as it is, or a text with a unit in base units; raises CodesignError that names `where` it stands."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value, None
    for unit in UNITS:
        try:
            return unit.parse(value), unit
        except ValueError:
            continue
    raise CodesignError(f"{where}: {value!r} is no number and no quantity such as '32 MiB' or '200 ns'; write one")


def plain(value: Any) -> float | None:
    """A value of a key as a number, quantities in base units; None for what is no number."""
    try:
        return float(read(value, "")[0])
    except CodesignError:
        return None


def words(key: str, value: Any) -> str:
    """A value of a key as a person reads it; of a mapping, its values."""
    if isinstance(value, Mapping):
        return " ".join(words(f"{key}.{name}", item) for name, item in value.items())
    return value_text(key, value)


def write(value: Number, unit: Unit | None) -> Any:
    """What a key is set to: the number itself, or a text with its unit."""
    return value if unit is None else unit.text(value)
