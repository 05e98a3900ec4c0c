"""The committed predictions of docs/validation: made anew from measured files, kept as CSV, and read back."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from memgrain.cli.terminal import SweepProgress
from memgrain.runs.options import RunOptions
from memgrain.runs.validated import COLUMNS, EVIDENCE, Evidence
from memgrain.runs.validated.evidence import read_evidence
from memgrain.runs.validated.fit import estimate
from memgrain.runs.validated.subject import CHANGED, FIELDS
from memgrain.sim import MODEL_VERSION
from memgrain.validation.cases import KERNELS, CaseMaker, source_digest
from memgrain.validation.channel import ERRORS, PREDICTED, validate_channel
from memgrain.validation.channel import MEASURED as CHANNEL_MEASURED
from memgrain.validation.compare import with_errors
from memgrain.validation.points import load_points, resolve, validate_points
from memgrain.validation.records import MEASURED, Record, read_records
from memgrain.validation.run import PREDICTIONS, validate
from memgrain.workloads import find_kernel

ROOT = Path(__file__).parent.parent
MEASURED_IN = ROOT / "tests" / "validation"
FOLDER = ROOT / "docs" / "validation"
PROVENANCE = FOLDER / "provenance.yaml"
JOBS = 2
"""Rows at a time."""
TIMES = ("time_us", "time_per_token_us")
"""Quantities of points that are times of a whole prediction."""


@dataclass(frozen=True)
class Source:
    """A measured file."""

    file: str
    """Its name in tests/validation."""
    form: Literal["kernels", "channel", "points"]
    """What its rows are."""
    title: str
    """What was measured."""
    use: str
    """Whether numbers of a chip follow from it."""
    note: str = ""
    """What explains the errors, where that is known."""
    kernel: str | None = None
    """The kernel that rows are predicted with, whatever they name; auto: a generic tiling."""
    chip_set: Mapping[str, Any] = field(default_factory=dict)
    """What the measured chip was set to."""
    evidence: bool = True
    """Whether results may rest on these rows: nothing was fitted to them."""

    @property
    def name(self) -> str:
        """Name of the file without its ending, and of the kernel if it is one for all rows."""
        return Path(self.file).stem + ("" if self.kernel is None else f"_{self.kernel}")

    @property
    def measured(self) -> Path:
        """The measured rows."""
        return MEASURED_IN / self.file

    @property
    def kept(self) -> Path:
        """The predictions beside the measurements."""
        return FOLDER / f"{self.name}.csv"

    @property
    def figure(self) -> Path:
        """Predicted ÷ measured."""
        return FOLDER / f"{self.name}.png"


LAYERS = """\
Two layers of decode, kernel after kernel. Nearly all are predicted too fast, by a tenth or so: cuBLAS cuts small
products otherwise, the end of a kernel and the beginning of the next leave the memory idle for longer than in the
model, and FlashAttention-3 reads rows of 96 elements by 64-byte segments, which is not modelled. `rotate` with 64
sequences of 32 KV heads is our own small kernel of 6,144 programs of 32 threads."""
ANCHORS = """\
What explains the difference. Every step is predicted 12 to 20 % too fast, as whole steps on NVIDIA's chips are. A step
has about a thousand kernels; the 2.5 us that each launch costs, which follow from copies on the Ascend 950, are 2.5 of
Flash's 16 ms. Products load the next step's rows while the cube works, in every kernel alike: 11 points of it;
norms, rotations and quantisation are modelled by their bytes alone. The guide also runs kernels beside one another on
several streams, and shares the projection to the vocabulary and that of the outputs over chips, which saves about 1 ms.
*From 8K to 1M* Flash grows by 1.49 ms from token to token, the model's by 1.16. Bytes are no reason: the
0.72 GB more take 0.18 ms at 4 TB/s. What is missing is the selection's arithmetic: by the guide's own estimate a
histogram takes 111 cycles for 256 scores, 69 us for 262,144 in one vector core, where the model has 46 us for reading
them."""
CONTEST = """\
All copies of these kernels but those of the product with k = 32 are synchronous, so a product is loads, rearrangement
and multiplication one after the other. Each row of a strided copy is charged 50 ns, as a copy of single elements takes;
in the product with both operands transposed, whose loads are rows of 256 bytes alone, that is too much. A fill of
0.5 MB is predicted 0.9 us too fast; whether launching 32 tasks costs more than launching one is not known."""
GENERIC_NOTE = """\
A generic tiling has no code: a tile takes as long as the units take for its products and exponentials. In decode, which
waits for memory, that costs little. In prefill it describes a kernel that keeps the tensor units busy all the time,
and the measured Triton kernel takes three times as long. At head dimension 512 the automatic tiles are too small."""
SOURCES = [
    Source("h100_attention.csv", "kernels", "H100, attention", "Nothing was fitted to these rows."),
    Source(
        "h100_attention.csv",
        "kernels",
        "H100, attention by the generic tiling",
        "The same rows, predicted as `memgrain run` does where no kernel is named. Nothing was fitted to these rows.",
        GENERIC_NOTE,
        kernel="auto",
    ),
    Source(
        "h100_microbench.csv",
        "kernels",
        "H100, microbenchmarks",
        "Numbers of `h100_sxm` were fitted to these rows.",
        evidence=False,
    ),
    Source(
        "h200_microbench.csv",
        "kernels",
        "H200, microbenchmarks",
        "Numbers of `h200_sxm` were fitted to these rows.",
        evidence=False,
    ),
    Source("h200_fa3.csv", "kernels", "H200, FlashAttention-3", "Nothing was fitted to these rows."),
    Source(
        "h100_fa3_1500mhz.csv",
        "kernels",
        "H100 at 1,500 MHz, FlashAttention-3",
        "Predicted at that clock. Nothing was fitted to these rows.",
        chip_set={"sm.clock": "1.5 GHz", "smem.clock": "1.5 GHz"},
    ),
    Source("h200_fa2.csv", "kernels", "H200, FlashAttention-2", "Nothing was fitted to these rows."),
    Source(
        "h200_fa2_frameworks.csv",
        "kernels",
        "H200, FlashAttention-2 within steps",
        "Decode calls within graphs of whole steps (Llama 3.1 8B), and beside another method's chain of kernels: the "
        "sum of the kernel and of that which merges. Nothing was fitted to these rows.",
    ),
    Source("h200_cublas.csv", "kernels", "H200, products by cuBLAS", "Nothing was fitted to these rows."),
    Source(
        "ascend_910b.yaml",
        "points",
        "Ascend 910B, published points",
        "Numbers of the chips were fitted to the family memory; nothing to the others.",
    ),
    Source(
        "ascend_950.yaml",
        "points",
        "Ascend 950, published points",
        "Numbers of the chip were fitted to the family memory; products decided between 32 and 64 B in "
        "`l1.split_writes.piece`, and nothing else.",
    ),
    Source(
        "mlu370.yaml",
        "points",
        "Cambricon MLU370-X4, kernels of a contest",
        "Numbers of the chip were fitted to fills and elementwise kernels; nothing to norms, softmax and products.",
        CONTEST,
    ),
    Source("h100_layers.yaml", "points", "H100, whole layers", "Nothing was fitted to these points.", LAYERS),
    Source("ascend_950dt.yaml", "points", "Ascend 950DT, DeepSeek V4", "Nothing was fitted to these points.", ANCHORS),
    Source("dramsim3.csv", "channel", "DRAM channels, DRAMSim3", "Organisation and timings are the same in both."),
]
_KERNEL_COLUMNS = (
    "id",
    "device",
    "family",
    "title",
    "kernel",
    "pattern",
    "head_dim",
    "alike",
    "useful_bytes",
    *MEASURED,
    *PREDICTIONS[2:],
    "roofline_time_us",
)
_CHANNEL_COLUMNS = (
    *("id", "dram", "standard", "pattern", "parameter_bytes"),
    *CHANNEL_MEASURED,
    *PREDICTED,
    *ERRORS,
    "row_hit_rate_error",
)
_POINT_COLUMNS = (
    "id",
    "family",
    "what",
    "chip",
    "modified",
    "fitted",
    "quantity",
    "measured",
    "predicted",
    "error",
)


def predict(source: Source) -> None:
    """Predict every row of a file anew and keep what was found; rows that an interrupted run left are not run again."""
    progress = SweepProgress(source.file)
    work = ROOT / "out" / "validation" / source.name / source_digest()[:16]
    work.mkdir(parents=True, exist_ok=True)
    options = RunOptions(work, JOBS, progress=progress)
    try:
        if source.form == "kernels":
            made = validate(source.measured, None, source.chip_set, kernel=source.kernel, options=options)
            frame, failures = kernel_table(made.frame), made.failures
        elif source.form == "channel":
            found = validate_channel(source.measured, options=options)
            frame, failures = found.frame[list(_CHANNEL_COLUMNS)], found.failures
        else:
            compared = validate_points(source.measured, options=options)
            frame, failures = point_table(compared.own, source.measured), compared.failures
    finally:
        progress.stop()
    FOLDER.mkdir(parents=True, exist_ok=True)
    frame.to_csv(source.kept, index=False, lineterminator="\n")
    note_provenance(source, failures)


def kernel_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that are kept of rows of kernels; `alike` as a number, which is all that rank agreement asks for."""
    return frame.assign(alike=frame.groupby("alike", sort=False).ngroup())[list(_KERNEL_COLUMNS)]


def point_table(frame: pd.DataFrame, measured: Path) -> pd.DataFrame:
    """The columns that are kept of points, and whether each one's chip was changed."""
    points = {point.id: point for point in load_points(measured).points}
    return frame.assign(modified=[bool(points[name].set) for name in frame["id"]])[list(_POINT_COLUMNS)]


def read(source: Source) -> pd.DataFrame:
    """The committed rows of a file, with their errors."""
    frame = pd.read_csv(source.kept, dtype={"id": str})
    return with_errors(frame) if source.form == "kernels" else frame


def evidence() -> Iterator[Evidence]:
    """Rows of memgrain/runs/validated/evidence.csv: all whose time was compared and that nothing was fitted to."""
    for source in SOURCES:
        if source.evidence and source.form != "channel":
            yield from _of_points(source) if source.form == "points" else _of_kernels(source)


def _of_kernels(source: Source) -> Iterator[Evidence]:
    """The rows of a file of kernels, from the state that they were measured in, and from dirty caches if they have a
    time of that too; a chip that was set otherwise counts as the chip, as it was predicted so."""
    maker, kept = CaseMaker(None, source.chip_set, False, source.kernel), read(source).set_index("id")
    for record in read_records(source.measured):
        if record.id not in kept.index:
            continue
        subject, row = maker.make(record).subject(), kept.loc[record.id]
        if subject is None:
            continue
        subject = replace(subject, chip=subject.chip.split(CHANGED)[0])
        dirty = replace(subject, caches="dirty")
        for state, name in ((subject, "time"), (dirty, "time_dirty")):
            measured, predicted = row[f"kernel_{name}_us"], row[f"predicted_{name}_us"]
            if measured > 0 and predicted > 0 and (name == "time" or subject.caches == "cold"):
                timed = replace(state, predicted_us=predicted)
                yield Evidence(source.name, record.id, timed, _measured_kernel(record), measured)


def _of_points(source: Source) -> Iterator[Evidence]:
    points = {point.id: point for point in load_points(source.measured).points}
    for row in read(source).to_dict("records"):
        if row["quantity"] in TIMES and not row["fitted"] and not row["modified"]:
            point = resolve(source.measured, points[row["id"]], {}, {})
            subject = replace(point.subject(), predicted_us=row["predicted"])
            yield Evidence(source.name, row["id"], subject, "", row["measured"])


def _measured_kernel(record: Record) -> str:
    """The attention kernel that ran, by name."""
    family = record.text("family")
    if family not in ("decode", "prefill"):
        return ""
    return find_kernel(record.text("kernel", KERNELS[family]), "decode" if family == "decode" else "prefill")


def evidence_text() -> str:
    """What evidence.csv holds."""
    lines = [",".join(COLUMNS)]
    for row in evidence():
        times = (f"{row.measured_us:.6g}", f"{row.predicted_us:.6g}")
        known = [getattr(row.subject, name) for name in FIELDS]
        cells = [str(value) for value in (row.source, row.id, *known, row.measured_kernel, *times)]
        lines.append(",".join(f'"{cell}"' if "," in cell else cell for cell in cells))
    return "\n".join(lines) + "\n"


def components_text() -> str:
    """What components.csv holds: standard deviations of the parts of an error, estimated from evidence.csv."""
    lines = ["part,deviation", *(f'"{part}",{x:.4f}' for part, x in estimate(read_evidence(EVIDENCE)).items())]
    return "\n".join(lines) + "\n"


def provenance() -> dict[str, Any]:
    """What the committed predictions were made with, by measured file."""
    return dict(yaml.safe_load(PROVENANCE.read_text(encoding="utf-8")) or {}) if PROVENANCE.exists() else {}


def note_provenance(source: Source, failures: list[str]) -> None:
    """Write down what the predictions of a file were made with."""
    known = provenance() | {
        source.name: {
            "model_version": MODEL_VERSION,
            "measured_sha256": file_digest(source.measured),
            "code_sha256": source_digest(),
            "without_prediction": sorted(" ".join(line.split()) for line in failures),
        }
    }
    text = yaml.safe_dump({item.name: known[item.name] for item in SOURCES if item.name in known}, sort_keys=False)
    PROVENANCE.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measured_ids(source: Source) -> list[str]:
    """Names of the rows of a measured file, in its order."""
    if source.form == "points":
        return [point.id for point in load_points(source.measured).points]
    with source.measured.open(encoding="utf-8", newline="") as file:
        return [row.get("id") or str(number) for number, row in enumerate(csv.DictReader(file), 1)]
