"""The committed predictions of docs/validation: made anew from measured files, kept as CSV, and read back."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import yaml

from codesign.cli.terminal import SweepProgress
from codesign.model_run.point import KIND
from codesign.validated import CLEAN, COLUMNS, DIRTY, family
from codesign.validation.cases import DEVICES, source_digest
from codesign.validation.channel import ERRORS, PREDICTED, validate_channel
from codesign.validation.channel import MEASURED as CHANNEL_MEASURED
from codesign.validation.compare import with_errors
from codesign.validation.points import load_points, validate_points
from codesign.validation.records import MEASURED
from codesign.validation.run import PREDICTIONS, validate
from sim import MODEL_VERSION
from workloads import parse_any

ROOT = Path(__file__).parent.parent
MEASURED_IN = ROOT / "tests" / "validation"
FOLDER = ROOT / "docs" / "validation"
PROVENANCE = FOLDER / "provenance.yaml"
VALIDATED = ROOT / "codesign" / "validated.csv"
JOBS = 2
"""Rows at a time."""
PHASES = ("decode", "prefill")
"""Families of measured kernels that a result of `memgrain run` may belong to."""


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

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return Path(self.file).stem

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
What explains the difference. *At 8K* Flash is predicted 29 % too slow, Pro within 5 %. A step has about a thousand
kernels, and the 7 us that each launch costs (assumed as on the 910B, 2 to 21) are 7 of Flash's 21 ms; the guide runs
kernels beside one another on several streams, and shares the projection to the vocabulary and that of the outputs
over chips, which saves another 1 ms. Pro's kernels are twice as long. *From 8K to 1M* Flash grows by 1.49 ms from
token to token, 3.6 ms a step; the model gives 1.05 and 2.6: 1.05 the index scan, which multiplies 64 heads of four
tokens with 262,144 keys, 0.97 the selection, where one core reads a list's scores twice, 0.43 HCA. Bytes are no
reason: the 0.72 GB more take 0.18 ms at 4 TB/s. What is missing is the selection's arithmetic: by the guide's own
estimate a histogram takes 111 cycles for 256 scores, 69 us for 262,144 in one vector core, where the model has 46 us
for reading them."""
SOURCES = [
    Source("h100_attention.csv", "kernels", "H100, attention", "Nothing was fitted to these rows."),
    Source(
        "h100_microbench.csv", "kernels", "H100, microbenchmarks", "Numbers of `h100_sxm` were fitted to these rows."
    ),
    Source(
        "h200_microbench.csv", "kernels", "H200, microbenchmarks", "Numbers of `h200_sxm` were fitted to these rows."
    ),
    Source(
        "ascend_910b.yaml",
        "points",
        "Ascend 910B, published points",
        "Numbers of the chips were fitted to the family memory; nothing to the others.",
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
    "kind",
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
    try:
        if source.form == "kernels":
            made = validate(source.measured, out=work, jobs=JOBS, watch=progress)
            frame, failures = kernel_table(made.frame), made.failures
        elif source.form == "channel":
            found = validate_channel(source.measured, out=work, jobs=JOBS, watch=progress)
            frame, failures = found.frame[list(_CHANNEL_COLUMNS)], found.failures
        else:
            compared = validate_points(source.measured, out=work, jobs=JOBS, watch=progress)
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
    """The columns that are kept of points, with the kind of each one's workload and whether its chip was changed."""
    points = {point.id: point for point in load_points(measured).points}
    kinds = {name: _kind(name, point.workload) for name, point in points.items()}
    out = frame.assign(kind=frame["id"].map(kinds), modified=[bool(points[name].set) for name in frame["id"]])
    return out[list(_POINT_COLUMNS)]


def _kind(name: str, workload: dict[str, Any]) -> str:
    """What a point is counted among."""
    return KIND if workload.get("kind") == KIND else family(parse_any({"name": name, **workload}))


def read(source: Source) -> pd.DataFrame:
    """The committed rows of a file, with their errors."""
    frame = pd.read_csv(source.kept, dtype={"id": str})
    return with_errors(frame) if source.form == "kernels" else frame


def validated() -> Iterator[dict[str, Any]]:
    """Rows of codesign/validated.csv: errors of time by chip, family and state, of rows that nothing was fitted to."""
    errors = [_errors(source) for source in SOURCES if source.form != "channel"]
    for (chip, kind, caches), rows in pd.concat(errors).groupby(["chip", "family", "caches"]):
        size = rows["error"].abs()
        figures = (size.mean(), size.quantile(0.9), size.max())
        yield dict(zip(COLUMNS, (chip, kind, caches, len(rows), *(f"{x:.4f}" for x in figures)), strict=True))


def _errors(source: Source) -> pd.DataFrame:
    frame = read(source)
    if source.form == "points":
        times = frame["quantity"].isin(["time_us", "time_per_token_us"])
        own = frame[times & ~frame["fitted"] & ~frame["modified"]]
        return pd.DataFrame({"chip": own["chip"], "family": own["kind"], "caches": CLEAN, "error": own["error"]})
    frame = frame[frame["family"].isin(PHASES)]
    parts = [
        pd.DataFrame(
            {"chip": frame["device"].map(DEVICES), "family": frame["family"], "caches": caches, "error": frame[error]}
        )
        for caches, error in ((CLEAN, "time_error"), (DIRTY, "time_dirty_error"))
    ]
    return pd.concat(parts).dropna()


def validated_text() -> str:
    """What codesign/validated.csv holds."""
    lines = [",".join(COLUMNS), *(",".join(map(str, row.values())) for row in validated())]
    return "\n".join(lines) + "\n"


def provenance() -> dict[str, Any]:
    """What the committed predictions were made with, by measured file."""
    return dict(yaml.safe_load(PROVENANCE.read_text(encoding="utf-8")) or {}) if PROVENANCE.exists() else {}


def note_provenance(source: Source, failures: list[str]) -> None:
    """Write down what the predictions of a file were made with."""
    known = provenance() | {
        source.file: {
            "model_version": MODEL_VERSION,
            "measured_sha256": file_digest(source.measured),
            "code_sha256": source_digest(),
            "without_prediction": sorted(" ".join(line.split()) for line in failures),
        }
    }
    text = yaml.safe_dump({item.file: known[item.file] for item in SOURCES if item.file in known}, sort_keys=False)
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
