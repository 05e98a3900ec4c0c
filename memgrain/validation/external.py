"""Latencies from a third-party package: each row becomes a record, as if read from a CSV.

Products with weights are in `external_products`, modules of whole layers in `external_modules`; this file is about
attention.

aiconfigurator-core (Apache-2.0) contains NVIDIA's tables of attention as vLLM, SGLang and TensorRT-LLM run it. The
collector of github ai-dynamo/aiconfigurator (collector/helper.py, collector/*/collect_attn.py) shows how they were
measured:

- A call is captured as one CUDA graph; after 3 or more replays 6 (SGLang: 20) are timed between two events, one after
  the other. So the same call ran just before (`l2_state` is warm), the host's launches are hidden, and whatever else
  belongs to the call is in the time: the write of the new token's K and V, conversions to fp8, the merge of splits.
- `step` is the tokens cached before; the call attends to one more. `latency` is in ms.
- vLLM's builder of metadata takes up to 512 new tokens for a full CUDA graph: FlashAttention-3 is then launched for up
  to 32 splits, with the kernel that merges them, however many there are (vllm/v1/attention/backends/flash_attn.py).
- K and V lie in pages of 64 tokens: vLLM's in random order, the others' in sequence; TensorRT-LLM's prefill reads them
  where the projection left them. FlashAttention-3 needs queries of the type of the cache, so they are fp8 where it is.

The tables do not identify the kernels completely; `KERNELS` states the assumptions.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip, load_chip
from memgrain.inputs.spelling import suggest
from memgrain.validation.calls import AUTO
from memgrain.validation.external_modules import MODULES, READ, Cells
from memgrain.validation.external_products import REPLAY, product_cells
from memgrain.validation.records import Record

AICONFIGURATOR = "aiconfigurator"
SOURCES = (AICONFIGURATOR,)
"""Values of `--external`."""
SYSTEMS = {"a100_sxm": "a100_sxm", "b200": "b200_sxm", "h100_sxm": "h100_sxm", "h200_sxm": "h200_sxm"}
"""Names of our chips in the tables."""
BACKENDS = ("sglang", "trtllm", "vllm")
"""Values of `--backend`."""
PAGE = 64
"""Tokens of a page."""
LATENT_DIM, LATENT_VALUES = 576, 512
"""Elements of a row of DeepSeek-V3's latent cache, and of its first part, which is V."""
LARGE_KV = 200_000_000
"""Bytes of K and V above which a decode row counts as large."""
UNKNOWN = "kernel not described"
"""Group of rows of other kernels, such as vLLM's for head dimension 512."""
LONG_PROMPT = 1024
"""Tokens above which a prefill row counts as long."""
GRAPH_TOKENS, GRAPH_SPLITS = 512, "32"
"""Largest number of new tokens for which vLLM launches FlashAttention-3 as for a CUDA graph, and the splits that it
then allows."""
WRITE = 1.5
"""Time of the write of new tokens, in empty kernels (measurements/h100_flash3_paged.csv, h100_write_token.csv)."""
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "int8": "int8"}
"""Our names for the tables' element types."""


@dataclass(frozen=True)
class Runs:
    """The kernels of a call, as far as they are known."""

    kernel: str = AUTO
    """Our description of the attention kernel; auto if there is none."""
    others: float = WRITE
    """Other work in empty kernels if K and V are stored without conversion: the write of new tokens into the cache."""
    others_fp8: float = WRITE
    """The same if K and V are stored as fp8."""
    for_graphs: bool = False
    """Whether up to GRAPH_TOKENS new tokens are launched for GRAPH_SPLITS; beyond, a kernel resets a counter first."""
    splits_groups_only: bool = False
    """Whether the context is not split if every query head has its own KV head."""


FLASH_2, FLASH_3, MLA = Runs("flash_attention_2"), Runs("flash_attention_3"), Runs("flashmla")
KERNELS: dict[tuple[str, str], Runs] = {
    ("generation_attention", "vllm_flash_attn_fa3"): Runs(FLASH_3.kernel, for_graphs=True),
    ("generation_attention", "fa3"): Runs(FLASH_3.kernel, others=1 + WRITE, others_fp8=4 + WRITE),
    ("generation_attention", "vllm_flash_attn"): Runs(FLASH_2.kernel, splits_groups_only=True),
    ("generation_attention", "flash_attention"): FLASH_2,
    ("context_attention", "vllm_flash_attn_fa3"): FLASH_3,
    ("context_attention", "fa3"): FLASH_3,
    ("context_attention", "vllm_flash_attn"): FLASH_2,
    ("context_attention", "flash_attention"): FLASH_2,
    ("generation_mla", "default"): MLA,
    ("generation_mla", "flash_attention"): MLA,
}
"""Kernels by operation and `kernel_source`; `Runs()` for all others. Some entries are assumptions: SGLang's
flash_attention is FlashAttention-3's code for Ampere on an A100, and FlashAttention-3 also for MLA. SGLang converts Q,
K and V to fp8 in separate kernels (its memory_pool.py and flashattention_backend.py), the other frameworks during the
write. FlashAttention-2 with variable lengths splits only if it swaps a group's heads for queries (flash_api.cpp).
TensorRT-LLM (torch_flow) decodes with XQA, or, if a group has one head or more than 32, with a kernel that processes
every query head separately; neither is described."""


@dataclass(frozen=True)
class External:
    """A table of third-party measurements, in place of a file."""

    source: str
    """Source: one of SOURCES."""
    op: str | None
    """Operation: one of OPS."""
    backend: str | None
    """Framework, one of BACKENDS; None: the one with the most rows."""


def read_external(request: External, chip: str | None, chip_set: Mapping[str, Any]) -> list[Record]:
    """The rows of an operation on `chip`.

    Raises MemgrainError if the source, the package, the operation or the backend does not exist, HardwareError if the
    chip does not.
    """
    if request.source not in SOURCES:
        raise MemgrainError(
            f"no external source '{request.source}'{suggest(request.source, list(SOURCES))}; known: "
            f"{', '.join(SOURCES)}"
        )
    if chip is None:
        raise MemgrainError(f"rows of {request.source} are of one chip; name one of {', '.join(SYSTEMS)}")
    if request.op is None:
        raise MemgrainError(f"rows of {request.source} are of one operation; name one of {', '.join(OPS)}")
    found = load_chip(chip, chip_set)
    if found.name not in SYSTEMS:
        raise MemgrainError(f"{request.source} has no rows of chip '{found.name}'; choose one of {', '.join(SYSTEMS)}")
    return records(_folder() / SYSTEMS[found.name], found, request.op, request.backend)


def records(folder: Path, chip: Chip, op: str, backend: str | None) -> list[Record]:
    """The rows of one operation from the `folder` of a system."""
    if op not in OPS:
        if op in REFUSED:
            raise MemgrainError(f"op '{op}' cannot be validated: {REFUSED[op]}; choose one of {', '.join(OPS)}")
        raise MemgrainError(f"no op '{op}'{suggest(op, [*OPS, *REFUSED])}; known: {', '.join(OPS)}")
    if backend is not None and backend not in BACKENDS:
        raise MemgrainError(f"no backend '{backend}'{suggest(backend, list(BACKENDS))}; known: {', '.join(BACKENDS)}")
    known = READ if op in MODULES else BACKENDS
    if backend is not None and backend not in known:
        raise MemgrainError(f"what {backend} runs for {op} is not described; choose backend {' or '.join(known)}")
    tables = {name: _newest(folder.glob(f"*/{name}/*/{op}_perf.parquet")) for name in known}
    there = {name: pd.read_parquet(path) for name, path in tables.items() if path and backend in (None, name)}
    if not there:
        having = [name for name, path in tables.items() if path]
        mend = f"choose backend {' or '.join(having)}" if having else "choose another operation or chip"
        raise MemgrainError(
            f"{AICONFIGURATOR} has no rows of {op} by {backend or 'any backend'} on {chip.name}; {mend}"
        )
    chosen = max(there, key=lambda name: len(there[name]))
    name = "/".join((tables[chosen] or folder).parts[-4:-1])
    rows = there[chosen]
    if (beams := set(rows.get("beam_width", pd.Series([1])))) != {1}:
        raise MemgrainError(f"{name}: beam_width is {sorted(beams)}, must be 1; use another version of the package")
    whole = (dict(zip(rows.columns, row, strict=True)) | {"op": op} for row in rows.itertuples(index=False))
    cells = (OPS[op](row, chip) for row in whole)
    found = [Record(name, str(number), row) for number, row in enumerate(cells) if row]
    if not found and op in MODULES:
        raise MemgrainError(f"{name}: what the rows of {op} measured is not described; choose another backend")
    return found


def _folder() -> Path:
    """Folder of the tables in the package, which is located without importing it."""
    found = importlib.util.find_spec("aiconfigurator_core")
    if found is None or found.origin is None:
        raise MemgrainError(
            "rows of aiconfigurator need the package aiconfigurator-core; install it with: "
            "pip install 'memgrain[external]'"
        )
    return Path(found.origin).parent / "systems" / "data"


def _newest(paths: Any) -> Path | None:
    """The table of a framework's newest version."""

    def number(path: Path) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", path.parent.name)]

    return max(paths, key=number, default=None)


def _decode(row: Mapping[str, Any], chip: Chip) -> Cells:
    """A call with one new token per sequence."""
    heads, kv_heads, dim = row["num_heads"], row["num_key_value_heads"], row["head_dim"]
    tokens, window = row["step"] + 1, row.get("window_size", 0)
    seen = min(window or tokens, tokens)
    stored = DTYPES[row["kv_cache_dtype"]]
    cells = _common(row, stored) | _paged(row) | {"head_dim": str(dim), "kv_heads": str(kv_heads), "dtype": stored}
    group, runs = {"q_heads_per_kv_head": str(heads // kv_heads)}, _runs(row)
    if runs.splits_groups_only and heads == kv_heads:
        group |= {"splits": "1"}
    if runs.for_graphs and row["batch_size"] <= GRAPH_TOKENS:
        group |= {"splits": GRAPH_SPLITS}
    return cells | group | _tokens(row, chip, seen, 2 * kv_heads * dim, heads * dim, heads * dim)


def _latent(row: Mapping[str, Any], chip: Chip) -> Cells:
    """A call with one new token per sequence over a latent cache. SGLang's rows over fp8 are omitted, since they
    convert the whole cache."""
    stored = DTYPES[row["kv_cache_dtype"]]
    if stored == "fp8" and row["framework"].lower() == "sglang":
        return {}
    heads = row["num_heads"]
    cells = _common(row, stored) | _paged(row) | {"head_dim": str(LATENT_DIM), "kv_heads": "1", "dtype": stored}
    group = {"q_heads_per_kv_head": str(heads)}
    return cells | group | _tokens(row, chip, row["step"] + 1, LATENT_DIM, heads * LATENT_DIM, heads * LATENT_VALUES)


def _prefill(row: Mapping[str, Any], chip: Chip) -> Cells:
    """A causal call over whole prompts without cached tokens."""
    length, window, inline = row["isl"], row.get("window_size", 0), row["framework"].lower() == "trtllm"
    computed, stored = DTYPES[row["attn_dtype"]], DTYPES[row["kv_cache_dtype"]]
    stored = computed if inline else stored
    return (
        _common(row, stored)
        | ({} if inline else _paged(row))
        | {
            "family": "prefill",
            "group": f"prefill {'over' if length > LONG_PROMPT else 'to'} {LONG_PROMPT} tokens",
            "head_dim": str(row["head_dim"]),
            "kv_heads": str(row["num_key_value_heads"]),
            "context": str(length),
            "heads": str(row["num_heads"]),
            "causal": "True",
            "window": str(window if window < length else 0),
            "dtype": stored if "fa3" in row["kernel_source"] else computed,
        }
    )


def _runs(row: Mapping[str, Any]) -> Runs:
    return KERNELS.get((row["op"], row["kernel_source"]), Runs())


def _common(row: Mapping[str, Any], stored: str) -> Cells:
    """Cells common to all operations."""
    runs = _runs(row)
    others = runs.others_fp8 if stored == "fp8" else runs.others
    others += runs.for_graphs and row["batch_size"] > GRAPH_TOKENS
    return {
        "device": row["device"],
        "kernel": runs.kernel,
        "other_kernels": str(others + REPLAY),
        "l2_state": "warm",
        "batch": str(row["batch_size"]),
        "kv_dtype": stored,
        "o_dtype": "bf16",
        "layout": "NHD",
        "kernel_time_us": str(1000 * row["latency"]),
    }


def _paged(row: Mapping[str, Any]) -> Cells:
    """Cells of the paged layout of K and V."""
    backend = row["framework"].lower()
    return {
        "layout": "HND" if backend == "trtllm" else "NHD",
        "page": str(PAGE),
        "placement": "shuffled" if backend == "vllm" else "contiguous",
    }


def _tokens(row: Mapping[str, Any], chip: Chip, seen: int, wide: int, queries: int, outputs: int) -> Cells:
    """Cells of a decode row's traffic per sequence: `seen` tokens with `wide` cache elements, and elements of queries
    and outputs."""
    stored = 1 if DTYPES[row["kv_cache_dtype"]] in ("fp8", "int8") else 2
    kv = row["batch_size"] * seen * wide * stored
    return {
        "family": "decode",
        "group": f"decode, {UNKNOWN if _runs(row).kernel == AUTO else _size(kv, chip)}",
        "context": str(row["step"] + 1),
        "selection": "window" if seen <= row["step"] else "dense",
        "selected_tokens": str(seen),
        "useful_bytes": str(kv + row["batch_size"] * (queries * stored + outputs * 2)),
    }


def _size(kv: int, chip: Chip) -> str:
    """Size class of a row by the bytes of K and V that it reads."""
    if kv > LARGE_KV:
        return f"KV over {LARGE_KV // 10**6} MB"
    if chip.cache is not None and kv <= chip.cache.capacity:
        return f"KV in the {chip.cache.name.upper()}"
    return f"KV to {LARGE_KV // 10**6} MB"


OPS: dict[str, Callable[[Mapping[str, Any], Chip], Cells]] = {
    "generation_attention": _decode,
    "context_attention": _prefill,
    "generation_mla": _latent,
    "gemm": product_cells,
    **MODULES,
}
"""Values of `--op` with the function that converts a row to cells. No cells: the row cannot be compared."""
REFUSED = {
    "context_mla": "frameworks compute it in different ways, over latent rows or over those made of them",
    **dict.fromkeys(
        (
            "mla_context_module",
            "wideep_generation_mla",
            "wideep_context_mla",
            "dsa_context_module",
            "dsv4_csa_context_module",
            "dsv4_hca_context_module",
        ),
        "its rows are whole modules, of which decode alone is described",
    ),
}
"""Operations of the tables that no workload expresses, with the reasons."""
