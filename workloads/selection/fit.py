"""Fit of a local selection's parameters to recorded lists, by the statistics that matter to a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtr, ndtri

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.selection.local import LocalSelection
from memgrain.workloads.selection.locality import Locality, ages_selected, average, locality

BOUNDS = {"overlap": 0.05, "misses": 0.2, "pages": 0.15}
"""Largest error of a good fit: absolute for overlaps, relative for the other statistics."""
START = {"burst": 0.1, "popularity": 0.0, "cluster": 0.4, "octave": 4.0}
"""Start of the search; octave is the base-2 logarithm of the segment."""
LOWEST = {"burst": 0.0, "popularity": -1.8, "cluster": 0.0, "octave": 1.5}
"""Lower bounds of the search."""
HIGHEST = {"burst": 0.6, "popularity": 1.8, "cluster": 0.95, "octave": 7.5}
"""Upper bounds of the search."""
STRIDE = np.array([0.05, 0.25, 0.1, 0.6])
"""Differences for the slopes: smaller ones are below the random variation of single lists."""
ROUNDS = 2
"""Rounds of correcting overlap and recency and of searching the others."""
EVALUATIONS = 4
"""Steps of the search in a round; each also needs one selection per parameter for the slopes."""
ALWAYS = 0.9
"""Share of the steps in which a first token must be selected to count as a sink."""


@dataclass(frozen=True)
class Recording:
    """Recorded lists of a model; the context grows by one token a step."""

    positions: NDArray[np.int64]
    """Sorted token numbers, [layer, step, K]."""
    stops: NDArray[np.int64]
    """Tokens of context at each step."""


@dataclass(frozen=True)
class FittedSelection:
    """Fitted parameters, with the measured and the generated statistics."""

    selection: LocalSelection
    """The parameters."""
    measured: Locality
    """Statistics of the recording."""
    generated: Locality
    """Statistics of as many generated steps."""

    def errors(self) -> dict[str, dict[float, float]]:
        """Generated minus measured, absolute for overlaps, otherwise relative to the measured value; keys as BOUNDS."""
        found: dict[str, dict[float, float]] = {}
        for name in BOUNDS:
            want, got = getattr(self.measured, name), getattr(self.generated, name)
            found[name] = {at: got[at] - want[at] if name == "overlap" else got[at] / want[at] - 1 for at in want}
        return found

    def within(self) -> dict[str, dict[float, bool]]:
        """Whether each error is within its bound."""
        return {name: {at: abs(e) <= BOUNDS[name] for at, e in found.items()} for name, found in self.errors().items()}


def load_recording(path: str | Path) -> Recording:
    """The array `positions` [layer, step, K] (or [step, K]) of a .npz file, checked.

    The context of a step ends at the newest token that any layer selects, one token later at each step. Raises
    WorkloadError in one line.
    """
    try:
        if not is_zipfile(path):
            raise BadZipFile("no .npz file" if Path(path).is_file() else "no such file")
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as loaded:
            array = np.asarray(loaded["positions"])
    except (OSError, ValueError, KeyError, IndexError, AttributeError, EOFError, BadZipFile) as error:
        cause = " ".join(str(error).split())
        raise WorkloadError(
            f"{path}: cannot read a recording ({cause}); give a .npz file with an array positions [layer, step, K]"
        ) from None
    if array.dtype.kind not in "iu" or array.ndim not in (2, 3) or not array.size:
        raise WorkloadError(
            f"{path}: positions are {array.dtype} of shape {array.shape}, must be integers [layer, step, K]; "
            "save token numbers as int32"
        )
    positions = np.sort(array.astype(np.int64).reshape((-1, *array.shape[-2:])), axis=-1)
    steps, size = positions.shape[1:]
    if steps < 3 or size < 2:
        raise WorkloadError(f"{path}: {steps} steps of {size} tokens, must be 3 of 2 at least; record more")
    if positions[..., 0].min() < 0:
        raise WorkloadError(f"{path}: token {positions.min()} is negative, must be 0 or more; mend the recording")
    if np.any(positions[..., 1:] == positions[..., :-1]):
        raise WorkloadError(f"{path}: a token occurs twice in a list, must be distinct; drop it")
    newest = positions[..., -1].max(axis=0)
    stops = int((newest - np.arange(steps)).max()) + 1 + np.arange(steps)
    return Recording(positions, stops)


def fit(recording: Recording, layer: int | None = None) -> FittedSelection:
    """Parameters for one layer, or without `layer` for the mean statistics of all layers.

    Sinks, recency and overlap by lag are measured, then corrected by the statistics of lists made from them (method of
    moments). Burst, popularity, cluster and segment minimise the squared errors of overlap, misses and pages, each
    divided by its bound. Raises WorkloadError for a layer that was not recorded.
    """
    layers = len(recording.positions)
    if layer is not None and not 0 <= layer < layers:
        raise WorkloadError(f"layer {layer} was not recorded, the recording has 0 to {layers - 1}; choose one of them")
    chosen = recording.positions if layer is None else recording.positions[layer : layer + 1]
    stops = recording.stops
    measured = average([locality(lists, stops) for lists in chosen])
    near = [ages_selected(lists, stops) for lists in chosen]
    recency = {age: float(np.mean([found[age] for found in near])) for age in near[0]}
    sinks = 0
    while sinks < 16 and np.mean([(lists == sinks).any(axis=1).mean() for lists in chosen]) >= ALWAYS:
        sinks += 1
    wanted = falling(measured.overlap)
    size = chosen.shape[-1]

    def made(x: NDArray[np.float64], overlap: dict[int, float], ages: dict[int, float]) -> LocalSelection:
        return LocalSelection(
            kind="local",
            tokens=size,
            overlap={lag: round(share, 4) for lag, share in overlap.items()},
            recency={age: float(f"{chance:.4g}") for age, chance in ages.items()},
            sinks=sinks,
            burst=round(float(x[0]), 4),
            popularity=round(float(x[1]), 4),
            cluster=round(float(x[2]), 4),
            segment=round(2 ** float(x[3])),
            pool=max(2.0, float(np.ceil(4 * stops[-1] / size))),
        )

    x, overlap, ages = np.array(list(START.values())), dict(wanted), dict(recency)
    best: tuple[float, FittedSelection] | None = None

    def tried(x: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal best
        selection = made(x, overlap, ages)
        lists = made_lists(selection, stops)
        found = FittedSelection(selection, measured, locality(lists, stops))
        off = residuals(found)
        cost = float(np.sum(off**2) + 10 * np.sum(np.maximum(0, np.abs(off) - 0.9) ** 2))
        if best is None or cost < best[0]:
            best = cost, found
        return off

    for _ in range(ROUNDS):
        for _ in range(2):
            lists = made_lists(made(x, overlap, ages), stops)
            shown, seen = locality(lists, stops), ages_selected(lists, stops)
            overlap = falling(
                {
                    g: float(np.clip(overlap[g] + 0.8 * (measured.overlap[g] - shown.overlap[g]), 0, 0.999))
                    for g in wanted
                }
            )
            ages = {age: _moved(ages[age], recency[age], seen[age]) for age in ages}
        x = _searched(tried, x)
    assert best is not None
    return best[1]


def residuals(found: FittedSelection) -> NDArray[np.float64]:
    """Errors divided by their bounds; for misses and pages the logarithm of the ratio."""
    off = [e / BOUNDS["overlap"] for e in found.errors()["overlap"].values()]
    for name in ("misses", "pages"):
        off += [float(np.log(max(1 + e, 1e-3))) / BOUNDS[name] for e in found.errors()[name].values()]
    return np.array(off)


def made_lists(selection: LocalSelection, stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lists [step, K] of a selection for these contexts."""
    steps = list(range(len(stops)))
    return np.array(selection.sequence(0, 0, 0, [int(stop) for stop in stops], steps, 1), np.int64)


def falling(shares: dict[int, float]) -> dict[int, float]:
    """The nearest shares (least squares) that do not increase with the lag: neighbours that increase take their
    mean."""
    blocks: list[list[float]] = []
    for lag in sorted(shares):
        blocks.append([shares[lag]])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    level = [float(np.mean(block)) for block in blocks for _ in block]
    return dict(zip(sorted(shares), level, strict=True))


def _moved(chance: float, wanted: float, seen: float) -> float:
    """A chance moved, in normal quantiles, by most of the difference between wanted and seen."""
    low = 1e-5
    off = ndtri(np.clip(wanted, low, 1 - low)) - ndtri(np.clip(seen, low, 1 - low))
    return float(ndtr(np.clip(ndtri(np.clip(chance, low, 1 - low)) + 0.7 * np.clip(off, -0.5, 0.5), -4.5, 4.5)))


def _searched(
    tried: Callable[[NDArray[np.float64]], NDArray[np.float64]], x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Steps of least squares, with slopes from differences of STRIDE."""

    def slopes(at: NDArray[np.float64]) -> NDArray[np.float64]:
        here = tried(at)
        columns = []
        for number, stride in enumerate(STRIDE):
            beside = at.copy()
            beside[number] += stride if at[number] + stride <= high[number] else -stride
            columns.append((tried(beside) - here) / (beside[number] - at[number]))
        return np.array(columns).T

    low, high = np.array(list(LOWEST.values())), np.array(list(HIGHEST.values()))
    found = least_squares(
        tried, np.clip(x, low + 1e-3, high - 1e-3), slopes, bounds=(low, high), x_scale=STRIDE, max_nfev=EVALUATIONS
    )
    return np.asarray(found.x)
