"""Memgrain: a chip and an attention workload go in; misses, traffic and time come out.

import memgrain

result = memgrain.run("h100_sxm", "decode_topk", set={"shape.head_dim": 96, "l2.ways": 32})
rows = memgrain.sweep("head_dim_by_ratio", "out/dims")
figures = memgrain.plot(rows)

Everything that the command line does is a function here. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memgrain.analysis.explain import explain
    from memgrain.api.evidence import calibrate, check_claims, quality_scores, validate
    from memgrain.api.maps import latency, over_fetch, read_causes, roofline, stalls, tensors
    from memgrain.api.models import model_interval, run_model, token_cost
    from memgrain.api.points import compare, intervals, load_rows, load_workload, plot, run, sweep, traces
    from memgrain.api.studies import (
        assumptions,
        collective,
        curve,
        interval,
        prefetch,
        scaling,
        search,
        sensitivity,
        solve,
        whatif,
    )
    from memgrain.api.traces import fit_selection, load_trace, save_trace, trace_statistics
    from memgrain.errors import MemgrainError
    from memgrain.hwmodels import Chip, HardwareError, chip_names, load_chip
    from memgrain.hwmodels.schema import chip_schema
    from memgrain.models import ModelRun
    from memgrain.quality.recall import recall as recalled_mass
    from memgrain.runs.options import Progress, RunOptions
    from memgrain.runs.shipped import claim_names, search_names, sweep_names, workload_names
    from memgrain.sim import MODEL_VERSION, Result, SimulationError, simulate, simulate_sequence
    from memgrain.validation.collectives import validate_collectives
    from memgrain.workloads import (
        Kernel,
        Model,
        Trace,
        WorkloadError,
        kernel_names,
        load_kernel,
        load_model,
        model_names,
    )
    from memgrain.workloads.formats.selections import read_selections, save_selections

__all__ = [
    "MODEL_VERSION",
    "Chip",
    "HardwareError",
    "Kernel",
    "MemgrainError",
    "Model",
    "ModelRun",
    "Progress",
    "Result",
    "RunOptions",
    "SimulationError",
    "Trace",
    "WorkloadError",
    "assumptions",
    "calibrate",
    "check_claims",
    "chip_names",
    "chip_schema",
    "claim_names",
    "collective",
    "compare",
    "curve",
    "explain",
    "fit_selection",
    "interval",
    "intervals",
    "kernel_names",
    "latency",
    "load_chip",
    "load_kernel",
    "load_model",
    "load_rows",
    "load_trace",
    "load_workload",
    "model_interval",
    "model_names",
    "over_fetch",
    "plot",
    "prefetch",
    "quality_scores",
    "read_causes",
    "read_selections",
    "recalled_mass",
    "roofline",
    "run",
    "run_model",
    "save_selections",
    "save_trace",
    "scaling",
    "search",
    "search_names",
    "sensitivity",
    "simulate",
    "simulate_sequence",
    "solve",
    "stalls",
    "sweep",
    "sweep_names",
    "tensors",
    "token_cost",
    "trace_statistics",
    "traces",
    "validate",
    "validate_collectives",
    "whatif",
    "workload_names",
]

_CONTENTS = {
    "memgrain.hwmodels": "Chip HardwareError chip_names load_chip",
    "memgrain.hwmodels.schema": "chip_schema",
    "memgrain.workloads": "Kernel Model Trace WorkloadError kernel_names load_kernel load_model model_names",
    "memgrain.workloads.formats.selections": "read_selections save_selections",
    "memgrain.sim": "MODEL_VERSION Result SimulationError simulate simulate_sequence",
    "memgrain.errors": "MemgrainError",
    "memgrain.runs.options": "Progress RunOptions",
    "memgrain.runs.shipped": "claim_names search_names sweep_names workload_names",
    "memgrain.models": "ModelRun",
    "memgrain.analysis.explain": "explain",
    "memgrain.quality.recall": "recalled_mass=recall",
    "memgrain.validation.collectives": "validate_collectives",
    "memgrain.api.points": "compare intervals load_rows load_workload plot run sweep traces",
    "memgrain.api.studies": "assumptions collective curve interval prefetch scaling search sensitivity solve whatif",
    "memgrain.api.maps": "latency over_fetch read_causes roofline stalls tensors",
    "memgrain.api.models": "model_interval run_model token_cost",
    "memgrain.api.traces": "fit_selection load_trace save_trace trace_statistics",
    "memgrain.api.evidence": "calibrate check_claims quality_scores validate",
}
"""The public names by the module that defines them; NAME=OTHER where the module calls it OTHER."""


def _homes() -> dict[str, tuple[str, str]]:
    """Module and name there of each public name."""
    entries = ((module, entry.partition("=")) for module, names in _CONTENTS.items() for entry in names.split())
    return {name: (module, other or name) for module, (name, _, other) in entries}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    home = _homes().get(name)
    if home is None:
        raise AttributeError(f"module 'memgrain' has no attribute '{name}'")
    value = getattr(importlib.import_module(home[0]), home[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
