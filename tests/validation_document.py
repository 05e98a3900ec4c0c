"""docs/validation.md and README's table of accuracy, generated from the committed predictions, and the figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from memgrain.runs.validated import Subject, evidence
from memgrain.runs.validated.fit import coverage
from memgrain.runs.validated.law import COMPONENTS, read_components
from memgrain.sim import MODEL_VERSION
from memgrain.validation.channel import ERRORS, ChannelValidation
from memgrain.validation.compare import breakdown, report
from memgrain.validation.points import RATES, Compared, load_points
from tests.validation_results import FOLDER, ROOT, SOURCES, Source, provenance, read

DOCUMENT = ROOT / "docs" / "validation.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- table of accuracy: begin -->", "<!-- table of accuracy: end -->"
SHORT = 15.0
"""Predicted time in us below which rows count as short."""
WORST = 8
"""Number of rows in each table of the worst."""
NAMED = 6
"""Number of rows without a prediction that are listed per file."""
_TIME = ("time_mape", "time_median", "time_p90", "time_worst")
_KERNELS = {
    "mean": "time_mape",
    "median": "time_median",
    "p90": "time_p90",
    "worst": "time_worst",
    "bias": "time_bias",
    "dirty": "time_dirty_mape",
    "DRAM B, median": "dram_bytes_median_error",
    "mean ": "dram_bytes_mean_error",
    "L2 points": "l2_hit_rate_mae",
    "tau": "kendall_tau",
    "roofline": "roofline_time_mape",
}
_CHANNEL = {
    "GB/s, median": "bandwidth_median_error",
    "worst": "bandwidth_worst_error",
    "bias": "bandwidth_bias",
    "activates, median": "activates_median_error",
    "worst ": "activates_worst_error",
    "bias ": "activates_bias",
    "row hits, points": "row_hit_rate_mae",
}
_POINTS = {
    "times": "points",
    "median": "median",
    "mean": "mape",
    "worst": "worst",
    "bias": "bias",
    "hit rates": "rates",
    "mean ": "rate_mae",
    "worst ": "rate_worst",
}
_INTRODUCTION = """\
# Validation

Predictions of the simulator compared with measurements. `make validation` predicts every row anew and writes this file,
the table in README, [support.md](support.md), `memgrain/runs/validated/` (the rows behind error labels and intervals,
see [uncertainty.md](uncertainty.md)) and [validation/](validation/), which contains predictions and measurements as
CSV; [tests/validation](../tests/validation/README.md) states the sources of the measurements. A test predicts a few
rows of each file in every run of the tests and fails if one differs from what is stored here.

All errors are in %, errors of rates in points. *Time*: mean, median, 90th percentile (p90) and worst of the absolute
errors; *bias* is the signed mean (negative: predicted too fast); *dirty* is the mean for runs with caches full of dirty
lines. *DRAM B*: bytes read from DRAM. *L2 points*: mean difference of the L2's sector hit rate. *tau*: Kendall's rank
agreement over pairs of rows that differ only in the head dimension. *roofline*: mean error of time of a roofline, the
larger of bytes ÷ DRAM peak and operations ÷ peak of the matrix units.
"""


def document() -> str:
    """The text of docs/validation.md."""
    parts = [_INTRODUCTION, f"Version of the model: {MODEL_VERSION}.\n"]
    parts += [_section(source) for source in SOURCES]
    parts += [_carrying()]
    return "\n".join(parts)


def readme_block() -> str:
    """README's tables and figure, with the marks around them."""
    titles = [
        "measured rows",
        "rows",
        "time: mean",
        "median",
        "p90",
        "worst",
        "DRAM bytes, median",
        "L2 hits",
        "roofline",
    ]
    rows = [row for source in SOURCES if source.form != "channel" for row in _readme_rows(source)]
    channel = next(source for source in SOURCES if source.form == "channel")
    standards = ChannelValidation(read(channel)).summary()["standards"]
    shown = SOURCES[0]
    lines = [
        BEGIN,
        "",
        *markdown_table(titles, rows, 1),
        "",
        "Errors in %, of L2 hit rates in points. * Numbers of the chip were fitted to these rows; to no others.",
        "",
        *markdown_table(
            ["DRAM channels against DRAMSim3", "rows", "bandwidth: median", "worst", "activates: median", "worst "],
            [
                [name, str(found["rows"])]
                + [
                    _percent(found[f"{what}_{size}_error"])
                    for what in ("bandwidth", "activates")
                    for size in ("median", "worst")
                ]
                for name, found in standards.items()
            ],
            1,
        ),
        "",
        f"![Predicted ÷ measured time, {shown.title}]({shown.figure.relative_to(ROOT).as_posix()})",
        "",
        f"Rows, families, and the worst of each: [docs/validation.md]({DOCUMENT.relative_to(ROOT).as_posix()}).",
        "",
        END,
    ]
    return "\n".join(lines)


def _readme_rows(source: Source) -> Iterable[list[str]]:
    frame = read(source)
    if source.form == "points":
        summary = Compared(load_points(source.measured), frame.assign(alternative="")).summary()
        for name, rows in frame.groupby("family", sort=False):
            found = summary["families"][name]
            p90 = rows.loc[~rows["quantity"].isin(RATES), "error"].abs().quantile(0.9)
            star = " *" if rows["fitted"].any() else ""
            cells = [_percent(x) for x in (found["mape"], found["median"], p90, found["worst"])]
            yield [f"{source.title}: {name}{star}", str(found["points"]), *cells, "–", _percent(found["rate_mae"]), "–"]
        return
    star = " *" if "fitted to these rows" in source.use and "Nothing" not in source.use else ""
    for name, found in report(frame)["families"].items():
        keys = (*_TIME, "dram_bytes_median_error", "l2_hit_rate_mae", "roofline_time_mape")
        yield [f"{source.title}: {name}{star}", str(found["rows"]), *(_percent(found[key]) for key in keys)]


def _section(source: Source) -> str:
    frame = read(source)
    noted = provenance()[source.name]
    tables = {"kernels": _kernels, "channel": _channel}.get(source.form, partial(_points, source))(frame)
    missing = noted["without_prediction"]
    lines = [f"## {source.title}", "", f"`tests/validation/{source.file}`. {source.use}", "", *tables[0], ""]
    lines += _by_head_dim(frame) if source.form == "kernels" else []
    lines += [source.note, ""] if source.note else []
    lines += [f"![Predicted ÷ measured]({source.figure.relative_to(FOLDER.parent).as_posix()})", ""]
    lines += ["The worst:", "", *tables[1], ""]
    if missing:
        lines += [f"{len(missing)} rows have no prediction:", ""]
        lines += [f"- {line}" for line in missing[:NAMED]]
        lines += [f"- and {len(missing) - NAMED} more"] if len(missing) > NAMED else []
        lines += [""]
    return "\n".join(lines)


def _kernels(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    found = report(frame)
    rows = [_figures(name, part, _KERNELS) for name, part in [*found["families"].items(), ("all", found["overall"])]]
    worst = _largest(frame, frame["time_error"])
    return markdown_table(["family", "rows", *_KERNELS], rows, 1), markdown_table(
        ["id", "row", "bottleneck", "measured µs", "predicted µs", "error"],
        [
            [
                row["id"],
                row["title"],
                f"`{row['bottleneck']}`",
                *_pair(row["kernel_time_us"], row["predicted_time_us"], row["time_error"]),
            ]
            for row in worst
        ],
        3,
    )


LEFT_OUT: dict[str, Callable[[Subject], object]] = {
    "a row": id,
    "a head dimension of a kernel": lambda subject: (subject.kernel, subject.head_dim),
    "a pattern of a kernel": lambda subject: (subject.kernel, subject.pattern),
    "a kernel": lambda subject: (subject.family, subject.kernel),
    "a chip": lambda subject: subject.chip,
}
"""Key of the rows that are left out together."""


def _carrying() -> str:
    """The section on how errors carry over between subjects, and on the coverage of intervals."""
    rows, deviations = evidence(), read_components(COMPONENTS)
    parts = [[part, _percent(deviation)] for part, deviation in deviations.items()]
    held = []
    for name, key in LEFT_OUT.items():
        cells = []
        for below in (math.inf, SHORT):
            groups, inside, width = coverage(rows, deviations, key, below)
            cells += [_percent(inside), f"{width:.2f}"]
        held.append([name, str(groups), *cells])
    lines = [
        "## How far errors carry",
        "",
        f"Labels and intervals rest on {len(rows)} measured rows ("
        "[evidence.csv](../memgrain/runs/validated/evidence.csv)). The logarithm of measured ÷ predicted time is a sum "
        "of independent parts; these are their standard deviations "
        "in % ([uncertainty.md](uncertainty.md) says what each is):",
        "",
        *markdown_table(["part", "%"], parts, 1),
        "",
        "Each group of rows predicted from all other rows: how many of them lie within their interval from 5 to 95 % "
        "(90 % is right), and the median of its upper over its lower end; and the same of rows that are predicted to "
        f"take less than {SHORT:g} µs:",
        "",
        *markdown_table(["left out", "times", "within", "width", "short: within", "width"], held, 1),
        "",
    ]
    return "\n".join(lines)


def _by_head_dim(frame: pd.DataFrame) -> list[str]:
    """Bias, spread and rows by pattern (down) and head dimension (across); empty if there is one head dimension."""
    cells = breakdown(frame)
    dims = sorted(cells["head_dim"].unique())
    if len(dims) < 2:
        return []
    rows = []
    for (kernel, pattern), part in cells.groupby(["kernel", "pattern"], sort=False):
        found = {row["head_dim"]: _cell(row) for row in part.to_dict("records")}
        rows.append([f"{kernel}, {pattern}", *(found.get(dim, "–") for dim in dims)])
    words = "Bias ± spread (standard deviation) of time, and rows, by kernel, pattern and head dimension:"
    return [words, "", *markdown_table(["kernel, pattern", *map(str, dims)], rows, 1), ""]


def _cell(row: Mapping[Any, Any]) -> str:
    spread = "" if pd.isna(row["time_spread"]) else f" ± {_percent(row['time_spread'])}"
    return f"{100 * row['time_bias']:+.1f}{spread} ({row['rows']})"


def _channel(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    found = ChannelValidation(frame).summary()
    parts = [*found["standards"].items(), *found["families"].items(), ("all", found["overall"])]
    worst = _largest(frame, frame[list(ERRORS)].abs().max(axis=1))
    return markdown_table(
        ["standard", "rows", *_CHANNEL], [_figures(name, part, _CHANNEL) for name, part in parts], 1
    ), markdown_table(
        ["row", "GB/s", "predicted", "error", "activates", "predicted ", "error "],
        [
            [
                f"{row['standard']} {row['pattern']} {row['parameter_bytes']}",
                *_pair(row["bandwidth_gb_s"], row["predicted_bandwidth_gb_s"], row["bandwidth_error"]),
                *_pair(row["activates"], row["predicted_activates"], row["activates_error"]),
            ]
            for row in worst
        ],
        1,
    )


def _points(source: Source, frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    found = Compared(load_points(source.measured), frame.assign(alternative="")).summary()
    parts = [*found["families"].items(), ("nothing fitted", found["predicted"]), ("all", found["overall"])]
    rows = [
        [name, *(str(part[key]) if key in ("points", "rates") else _percent(part[key]) for key in _POINTS.values())]
        for name, part in parts
    ]
    worst = _largest(frame, frame["error"])
    return markdown_table(["family", *_POINTS], rows, 1), markdown_table(
        ["id", "point", "chip", "quantity", "measured", "predicted", "error"],
        [
            [
                row["id"],
                row["what"],
                f"`{row['chip']}`",
                f"`{row['quantity']}`",
                *_pair(row["measured"], row["predicted"], row["error"]),
            ]
            for row in worst
        ],
        4,
    )


def _largest(frame: pd.DataFrame, errors: pd.Series[Any]) -> list[dict[Any, Any]]:
    """The rows with the largest errors, the largest first."""
    order = errors.abs().dropna().sort_values(ascending=False, kind="stable").index[:WORST]
    return frame.loc[order].to_dict("records")


def _figures(name: str, found: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    cells = [
        "–" if found[key] is None else f"{found[key]:.2f}" if key == "kendall_tau" else _percent(found[key])
        for key in columns.values()
    ]
    return [name, str(found["rows"]), *cells]


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> list[str]:
    """A table of Markdown whose first `left` columns hold words and the others numbers."""
    rule = ["---" if place < left else "---:" for place in range(len(titles))]
    return [f"| {' | '.join(str(cell).strip().replace('|', '/') for cell in row)} |" for row in (titles, rule, *rows)]


def _pair(measured: float, predicted: float, error: float) -> list[str]:
    return [f"{measured:.4g}", f"{predicted:.4g}", f"{100 * error:+.1f}"]


def _percent(value: float | None) -> str:
    """A fraction in %, without a sign if it rounds to zero."""
    if value is None or pd.isna(value):
        return "–"
    return f"{100 * value:.1f}".replace("-0.0", "0.0")


def draw(source: Source) -> None:
    """Draw the figure of a file."""
    from memgrain.plots import channel, validation

    frame = read(source)
    if source.form == "channel":
        figure = channel.scatter(frame)
    else:
        if source.form == "points":
            names = {"measured": "kernel_time_us", "error": "time_error", "chip": "device"}
            frame = frame[frame["quantity"].str.endswith("_us")].rename(columns=names)
        figure = validation.scatter(frame)
    figure.savefig(source.figure, metadata={"Software": None})
