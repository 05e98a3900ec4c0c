"""The source of `memgrain trace`: the kernels of a workload on a chip, or of a trace file, and the granule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from memgrain.errors import MemgrainError
from memgrain.hwmodels import load_chip
from memgrain.runs.overrides import parse, split
from memgrain.runs.task import Task
from memgrain.workloads import Trace
from memgrain.workloads.formats import GRANULE, check_format, check_granule, format_of, load

CHIP = "h100_sxm"
"""The default chip, whose cores and scratchpads cut a call into programs."""


@dataclass(frozen=True)
class Source:
    """Traces, and the granule of their accesses."""

    name: str
    """The workload's name, or the file's."""
    traces: tuple[Trace, ...]
    """Its kernels, in one memory and in order."""
    granule: int
    """Bytes of an access."""


def read(
    source: str,
    chip: str | None,
    pairs: Sequence[str],
    granule: int | None,
    kernel: str | None,
    form: str | None = None,
) -> Source:
    """The traces of a workload (name or YAML file) or of a trace file; raises MemgrainError, WorkloadError or
    HardwareError.

    The granule is, in this order: as given; the line of the chip's last cache, or its DRAM's smallest access; 64 B.
    """
    size = granule or (_line(chip) if chip else GRANULE)
    check_granule(size)
    path = Path(source).expanduser()
    if form is not None:
        check_format(form)
    if form or format_of(path) or (path.is_file() and path.suffix not in (".yaml", ".yml")):
        if pairs:
            raise MemgrainError(f"--set is for workloads, {source} is a file of a trace; leave it out")
        return Source(path.name, _named((load(path, form, size),), kernel), size)
    on = chip or CHIP
    chip_set, workload_set = split(parse(pairs), on)
    point = Task(on, chip_set, source, workload_set).resolve()
    return Source(str(point.workload.name), _named(point.kernels(), kernel), size)


def _line(chip: str) -> int:
    spec = load_chip(chip)
    return spec.cache.line if spec.cache else spec.dram.smallest_access


def _named(traces: tuple[Trace, ...], kernel: str | None) -> tuple[Trace, ...]:
    found = tuple(trace for trace in traces if kernel in (None, trace.name))
    if not found:
        raise MemgrainError(f"no kernel '{kernel}'; there is {', '.join(trace.name for trace in traces)}")
    return found
