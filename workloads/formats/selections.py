"""Recorded selections from attention masks or token lists, in the form of `selection: {kind: recorded}`.

An array is [queries, ...] or [lists, queries, ...], where a list belongs to a layer or a head. The last axis is the
context (a boolean mask, true where a token is read) or the selected tokens (integers).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.files import cause
from memgrain.workloads.trace_file import DAMAGE


def read_selections(path: Path, kv_len: int | None) -> NDArray[np.int32]:
    """Token numbers [lists, queries, tokens], ascending, from a .npy file or from the only array of a .npz file (of
    several, `positions` or `mask`).

    Raises WorkloadError for another shape, for rows of unequal length, for a token outside a context of `kv_len` tokens
    (absent: the shortest possible context), and for a token that occurs twice.
    """
    array = _load(path)
    if array.ndim not in (2, 3) or 0 in array.shape or array.dtype.kind not in "biu":
        raise WorkloadError(
            f"{path.name}: {array.dtype} of shape {array.shape}, expected booleans [queries, context] or integers "
            "[queries, tokens], with an axis of layers or heads before them or not; reshape it"
        )
    array = array[None] if array.ndim == 2 else array
    if array.dtype.kind != "b":
        return _lists(path, array, kv_len)
    if kv_len is not None and array.shape[2] != kv_len:
        raise WorkloadError(f"{path.name}: a mask over {array.shape[2]} tokens, the context has {kv_len}; cut the mask")
    return _masked(path, array)


def save_selections(positions: NDArray[np.int32], query: int | None, path: Path) -> NDArray[np.int32]:
    """Write query number `query` (negative: counted from the last) of every list as [lists, tokens], or all queries
    ([lists, queries, tokens], for `memgrain trace fit`), to `path`; returns the array."""
    queries = positions.shape[1]
    if query is not None and not -queries <= query < queries:
        raise WorkloadError(f"no query {query} among {queries}; give one of {-queries}..{queries - 1}")
    kept: NDArray[np.int32] = positions if query is None else positions[:, query]
    try:
        with path.open("wb") as file:
            if path.suffix == ".npy":
                np.save(file, kept)
            else:
                np.savez_compressed(file, positions=kept)
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be written ({cause(error)}); choose another place") from None
    return kept


def _load(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream:
            if stream.read(2) != b"PK":
                return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                named = [name for name in ("positions", "mask") if name in file.files] or file.files
                if len(named) != 1:
                    raise ValueError(f"arrays {', '.join(named) or 'none'}, expected one, or 'positions' or 'mask'")
                return np.asarray(file[named[0]])
    except (OSError, ValueError, EOFError, *DAMAGE) as error:
        raise WorkloadError(f"{path.name}: no mask or list can be read ({cause(error)}); save one with numpy") from None


def _masked(path: Path, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    counts = np.count_nonzero(mask, axis=2)
    usual = int(counts.flat[0])
    odd = np.argwhere(counts != usual)
    if len(odd) or not usual:
        at = tuple(odd[0].tolist()) if len(odd) else (0, 0)
        raise WorkloadError(
            f"{path.name}: list {at[0]}, query {at[1]} reads {counts[at]} tokens and the first one {usual}; "
            "a recorded selection has equally many in all, at least one: keep queries or lists apart"
        )
    found = np.empty((*counts.shape, usual), np.int32)
    for number, rows in enumerate(mask):
        found[number] = np.nonzero(rows)[1].reshape(len(rows), usual)
    return found


def _lists(path: Path, lists: NDArray[Any], kv_len: int | None) -> NDArray[np.int32]:
    limit = 2**31 if kv_len is None else kv_len
    low, high = int(lists.min()), int(lists.max())
    if low < 0 or high >= limit:
        token = low if low < 0 else high
        raise WorkloadError(
            f"{path.name}: token {token} is outside the context 0..{limit - 1}; raise kv_len or mend the list"
        )
    found = np.sort(lists, axis=2).astype(np.int32)
    twice = np.argwhere(found[..., 1:] == found[..., :-1])
    if len(twice):
        number, query, at = twice[0].tolist()
        raise WorkloadError(
            f"{path.name}: token {found[number, query, at]} occurs twice in list {number}, query {query}, must be "
            "distinct; drop it"
        )
    return found
