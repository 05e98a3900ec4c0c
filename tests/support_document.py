"""docs/support.md: what can be predicted on which chip, the knowledge of its code, and the validation errors."""

from __future__ import annotations

from memgrain.hwmodels import Chip, chip_names, load_chip
from memgrain.runs.validated import Group, Subject, evidence, trust_in
from memgrain.runs.validated.subject import (
    GENERIC,
    LAYERS,
    MEASURED,
    NEIGHBOUR,
    NODES,
    ONE_CHIP,
    ONE_NODE,
    SOURCES,
    STEP,
    UNKNOWN,
    WHOLE,
    code_of,
)
from memgrain.workloads import Kernel, kernel_names, load_kernel
from tests.validation_document import markdown_table
from tests.validation_results import ROOT

SUPPORT = ROOT / "docs" / "support.md"
LEFT_OUT = ("toy", "ascend_910b_article", "mlu370_article")
"""Chips that do not exist: an example, and those that the article describes."""
TYPES = {"16-bit": "bf16", "fp8": "fp8", "int8": "int8"}
"""Types of K and V by the type that a chip's matrix units must have."""
CONTEXT = {"decode": 131072, "prefill": 16384}
"""Tokens of the call whose interval is given if nothing was measured."""
SAID = {
    MEASURED: "measured",
    NEIGHBOUR: "measured at other head dimensions",
    SOURCES: "from sources",
    UNKNOWN: "no code counted",
}
_INTRODUCTION = """\
# What is supported, and how well it is known

`make validation` writes this page from [evidence.csv](../memgrain/runs/validated/evidence.csv), which contains every
measured row to which no parameter was fitted. [uncertainty.md](uncertainty.md) explains the intervals; `memgrain run`
prints the evidence of one call, with its pattern, head dimension and size.

A cell shows the validation results on that chip:

- **-2.9 ± 5.4 (203)**: bias ± spread (standard deviation) of predicted ÷ measured - 1 in %, and number of measured
  rows, over all head dimensions, patterns and sizes. Negative: predicted too fast.
- 0.85 to 1.30: *not validated*. Nine of ten measured times are expected between these multiples of the predicted one,
  by evidence from other chips and kernels: for a dense decode of 131,072 tokens or a causal prefill of 16,384 tokens
  at head dimension 128, from cold caches.
- not validated, without an interval: models over several nodes, since no such step was measured on any chip.
- –: the chip cannot run it.

*Code*: cycles of the kernel's code were *measured* (alone, with all data in the cache) at head dimension 128, or its
description follows its *sources* only. A generic tiling is not a kernel: tiles are chosen automatically and no code is
counted, so its bias is relative to the measured kernels. Types are those of K and V.
"""


def support() -> str:
    """The text of docs/support.md."""
    chips = [load_chip(name) for name in chip_names() if name not in LEFT_OUT]
    parts = [_INTRODUCTION]
    for vendor in dict.fromkeys(chip.vendor for chip in chips):
        own = [chip for chip in chips if chip.vendor == vendor]
        parts += [f"## {vendor}\n", *_attention(own), "", *_others(own), ""]
    return "\n".join(parts)


def _attention(chips: list[Chip]) -> list[str]:
    """Attention kernels (down) on chips (across)."""
    rows = []
    for phase in ("decode", "prefill"):
        kernels = [None, *(kernel for name in kernel_names() if (kernel := load_kernel(name)).phase == phase)]
        for kernel in kernels:
            for width, dtype in TYPES.items():
                cells = [
                    _cell(_subject(chip, phase, kernel, width, dtype)) if _runs(chip, kernel, width, dtype) else "–"
                    for chip in chips
                ]
                if any(cell != "–" for cell in cells):
                    rows.append(
                        [phase, kernel.name if kernel else "generic tiling", width, _code(kernel, width), *cells]
                    )
    return markdown_table(["attention", "kernel", "K, V", "code", *(chip.name for chip in chips)], rows, 4)


def _others(chips: list[Chip]) -> list[str]:
    """Products, layers and whole models (down) on chips (across)."""
    kinds: list[tuple[str, dict[str, str]]] = [
        ("products with weights (`linear`)", {"family": "linear", "dtype": "16-bit"}),
        ("products (`gemm`)", {"family": "gemm", "dtype": "16-bit"}),
        ("layers, decode", {"family": STEP, "kernel": LAYERS, "links": ONE_CHIP}),
        ("whole models, decode, one chip", {"family": STEP, "kernel": WHOLE, "links": ONE_CHIP}),
        ("whole models, decode, chips of a node", {"family": STEP, "kernel": WHOLE, "links": ONE_NODE}),
        ("whole models, decode, over nodes", {"family": STEP, "kernel": WHOLE, "links": NODES}),
    ]
    rows = [
        [name, *(_cell(Subject(chip=chip.name, **given)) if _several(chip, given) else "–" for chip in chips)]
        for name, given in kinds
    ]  # type: ignore[arg-type]
    return markdown_table(["else", *(chip.name for chip in chips)], rows, 1)


def _several(chip: Chip, given: dict[str, str]) -> bool:
    """Whether so many chips can be connected."""
    links = chip.interconnect
    if given.get("links") == ONE_NODE:
        return links is not None
    return given.get("links") != NODES or (links is not None and links.network is not None)


def _runs(chip: Chip, kernel: Kernel | None, width: str, dtype: str) -> bool:
    """Whether a chip has the units that the kernel needs, and the kernel supports the type."""
    matmul = chip.matmul_core.matmul
    if matmul is None or dtype not in matmul.macs_per_cycle:
        return False
    if kernel is None:
        return True
    stored = kernel.kv_dtype or kernel.dtype[0]
    sizes = {tiles.element for tiles in kernel.tiles} | {code.element for code in kernel.code}
    own = width == ("16-bit" if stored in ("bf16", "fp16") else stored) or (width == "fp8" and 1 in sizes)
    return own and chip.architecture in kernel.architectures


def _subject(chip: Chip, phase: str, kernel: Kernel | None, width: str, dtype: str) -> Subject:
    """The call whose interval is given."""
    values = kernel.value_dim if kernel and kernel.value_dim else 128
    dim = 576 if values == 512 else 128
    element = 2 if width == "16-bit" else 1
    return Subject(
        phase,
        chip.name,
        kernel.name if kernel else GENERIC,
        code_of(kernel, dim, False, element),
        "dense" if phase == "decode" else "causal",
        dim,
        values,
        width,
        "in pages" if kernel and kernel.page else "",
        tokens=CONTEXT[phase],
        batch=1,
        group=8,
        bytes=CONTEXT[phase] * 8 * (dim + (0 if dim > values else values)) * element,
    )


def _cell(subject: Subject) -> str:
    """Errors of rows that differ only in pattern, head dimension, size and caches; or an interval."""
    names = ("family", "chip", "kernel", "dtype", "links")
    own = [row for row in evidence() if all(getattr(row.subject, name) == getattr(subject, name) for name in names)]
    if own:
        group = Group(subject, tuple(own))
        spread = "" if group.spread is None else f" ± {100 * group.spread:.1f}"
        return f"**{100 * group.bias:+.1f}{spread} ({len(own)})**"
    ends = trust_in(subject).factors
    return "not validated" if ends is None else " to ".join(f"{end:.2f}" for end in ends)


def _code(kernel: Kernel | None, width: str) -> str:
    values = kernel.value_dim if kernel and kernel.value_dim else 128
    return SAID[code_of(kernel, 576 if values == 512 else 128, False, 2 if width == "16-bit" else 1)]


def write_support() -> None:
    """Write docs/support.md."""
    SUPPORT.write_text(support(), encoding="utf-8")
