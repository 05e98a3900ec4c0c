"""Validation of collectives against measurements: NVIDIA's tables of nccl-tests, the same operations on our chips, and
the errors.

aiconfigurator-core (Apache-2.0) contains times of NCCL on 2, 4 and 8 chips of one node, 512 B to 512 MiB, of fp16 and
int8, as nccl-tests measures them: out of place, some hundred operations in a row, with bytes counted as in `sim`
(collector/collect_nccl.py). Its message_size is a number of elements. It also contains vLLM's own all-reduce of bf16,
captured in a graph: every chip reads from all others at once, the whole message below a size and its own part above
(github vllm-project/vllm, csrc/custom_all_reduce.cuh). From 8 MiB on NCCL runs instead, and these rows are omitted.

Single published times of other chips are in `published_collectives.yaml` beside this file.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.inputs.keys import validate
from memgrain.inputs.yaml_file import read_mapping
from memgrain.sim.network.collectives import AUTO, collective
from memgrain.validation.external import SYSTEMS
from memgrain.validation.points import Label

OPS = {
    "all_gather": "all_gather",
    "all_reduce": "all_reduce",
    "alltoall": "all_to_all",
    "reduce_scatter": "reduce_scatter",
}
"""Our names for the tables' operations."""
ELEMENT = {"half": 2, "int8": 1}
"""Bytes of the tables' element types."""
FITTED = {
    *((size, chips) for size in (2**9, 2**13) for chips in (2, 4, 8)),
    *((2**18, 8), (2**21, 8), (2**29, 2), (2**29, 8)),
}
"""Bytes and chips of the all_gather rows (half) to which parameters of a chip are fitted: startup, copy_bandwidth, and
the node's bandwidth, latency and share of LL and LL128. All other rows are held out."""
INHERITED = ("h200_sxm",)
"""Chips that inherit these parameters from another chip; none of their rows was used for fitting."""
ONE_SHOT = {2: 2**23, 4: 2**19, 8: 2**18}
"""Bytes below which vLLM's all-reduce takes one step, by number of chips; it takes two up to OWN."""
OWN = 2**23
"""Bytes below which vLLM runs its own all-reduce."""
SIZES = {"to 64 KiB": 2**16, "to 4 MiB": 2**22, "over 4 MiB": 2**63}
"""Size classes with their largest sizes."""
COLUMNS = (
    "chip",
    "library",
    "op",
    "bytes",
    "chips",
    "dtype",
    "measured_us",
    "predicted_us",
    "error",
    "algorithm",
    "fitted",
)


PUBLISHED = Path(__file__).with_name("published_collectives.yaml")
"""Published times of single operations."""
Text = Annotated[str, Field(min_length=1)]


class PublishedRow(BaseModel):
    """One published time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chip: Text
    """A shipped chip."""
    library: Text
    """Library and kind of exchange, as rows are grouped."""
    op: Text
    """The operation, by our name."""
    bytes: int = Field(ge=1)
    """Its size, as `MAKERS` of `memgrain.sim.network.schedule` says."""
    chips: int = Field(ge=2)
    """How many chips take part."""
    dtype: Text
    """Element type."""
    time_us: float = Field(gt=0)
    """Measured time."""
    source: Text
    """A key of the file's sources."""
    label: Label
    """How it was timed; derived: from a published rate."""
    conditions: Text
    """What is known about the run."""
    unknown: Text
    """What the source does not say."""


class PublishedFile(BaseModel):
    """Published times, and where they are from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: dict[Text, Text]
    """Full citations by key."""
    rows: list[PublishedRow] = Field(min_length=1)
    """The times."""


@cache
def published() -> PublishedFile:
    """The shipped file of published times."""
    return validate(PublishedFile, read_mapping(PUBLISHED, "list rows", MemgrainError), PUBLISHED.name, MemgrainError)


def measured_chips() -> tuple[str, ...]:
    """Names of the chips of which collectives were measured."""
    return (*SYSTEMS, *dict.fromkeys(row.chip for row in published().rows))


@dataclass(frozen=True)
class CollectiveValidation:
    """Predictions compared with the tables' times."""

    source: str
    """Name of the table."""
    frame: pd.DataFrame
    """One row per row of the table with the columns COLUMNS; errors are fractions."""

    def summary(self) -> dict[str, dict[str, Any]]:
        """Figures of the held-out rows by operation and size, and of all."""
        held = self.frame[~self.frame["fitted"]]
        found = {}
        for (library, op), rows in held.groupby(["library", "op"], sort=False):
            floor = 0
            for name, top in SIZES.items():
                if (of_size := (rows["bytes"] > floor) & (rows["bytes"] <= top)).any():
                    found[f"{library} {op} {name}"] = _figures(rows[of_size])
                floor = top
        return found | {"all": _figures(held)}


def validate_collectives(chip: Chip) -> CollectiveValidation:
    """Predict every row of the newest tables of the chip, or its published times. Raises MemgrainError if there is
    none."""
    rows = [row for row in published().rows if row.chip == chip.name]
    if rows:
        found = [
            _predicted(chip, row.library, row.op, row.bytes, row.chips, row.dtype, row.time_us / 1000, AUTO, False)
            for row in rows
        ]
        keys = ", ".join(dict.fromkeys(row.source for row in rows))
        return CollectiveValidation(f"published times ({keys})", pd.DataFrame(found, columns=list(COLUMNS)))
    folder = _folder(chip)
    path = _newest(folder, "nccl/*/nccl_perf.parquet")
    if path is None:
        raise MemgrainError(f"aiconfigurator-core has no collectives of {chip.name}; install another version of it")
    own = _newest(folder, "vllm/*/custom_allreduce_perf.parquet")
    found = [*_nccl(chip, pd.read_parquet(path)), *(_vllm(chip, pd.read_parquet(own)) if own else ())]
    return CollectiveValidation("/".join(path.parts[-5:-1]), pd.DataFrame(found, columns=list(COLUMNS)))


def _nccl(chip: Chip, table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    for row in table.to_dict("records"):
        dtype, op, chips = row["nccl_dtype"], OPS.get(row["op_name"]), row["num_gpus"]
        if op is None or dtype not in ELEMENT:
            continue
        size = row["message_size"] * ELEMENT[dtype]
        fitted = (op, dtype) == ("all_gather", "half") and (size, chips) in FITTED and chip.name not in INHERITED
        yield _predicted(chip, "nccl", op, size, chips, dtype, row["latency"], AUTO, fitted)


def _vllm(chip: Chip, table: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    for row in table[table["kernel_source"] == "vLLM_custom_graph"].to_dict("records"):
        size, chips, dtype = row["message_size"] * 2, row["num_gpus"], row["allreduce_dtype"]
        if size < OWN and chips in ONE_SHOT:
            algorithm = "one_shot" if size < ONE_SHOT[chips] else "direct"
            yield _predicted(chip, "vllm", "all_reduce", size, chips, dtype, row["latency"], algorithm, False)


def _predicted(
    chip: Chip, library: str, op: str, size: int, chips: int, dtype: str, latency: float, algorithm: str, fitted: bool
) -> tuple[Any, ...]:
    """The values of COLUMNS; `latency` is in ms."""
    done = collective(chip, op, size, chips, algorithm)
    measured, predicted = 1000 * latency, done.time / 1e6
    error = predicted / measured - 1
    return (chip.name, library, op, size, chips, dtype, measured, predicted, error, done.algorithm, fitted)


def _folder(chip: Chip) -> Path:
    """Folder of the chip's tables in the package, which is located without importing it."""
    package = importlib.util.find_spec("aiconfigurator_core")
    if package is None or package.origin is None:
        raise MemgrainError(
            "measured collectives need the package aiconfigurator-core; install it with: "
            "pip install 'memgrain[external]'"
        )
    if chip.name not in SYSTEMS:
        raise MemgrainError(f"no collectives of {chip.name} were measured; choose one of {', '.join(measured_chips())}")
    return Path(package.origin).parent / "systems" / "data" / SYSTEMS[chip.name] / "comm"


def _newest(folder: Path, pattern: str) -> Path | None:
    """The table of a library's newest version."""

    def number(path: Path) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", path.parent.name)]

    return max(folder.glob(pattern), key=number, default=None)


def _figures(rows: pd.DataFrame) -> dict[str, Any]:
    """Number of rows, and their median, p90, worst and mean error as fractions."""
    size = rows["error"].abs()
    return {
        "rows": len(rows),
        "median_error": float(size.median()),
        "p90_error": float(size.quantile(0.9)),
        "worst_error": float(size.max()),
        "bias": float(rows["error"].mean()),
    }
