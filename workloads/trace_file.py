"""A trace in a file: metadata and the whole chunk stream in one compressed .npz."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.trace import PROGRAM, RUN, STEP, Chunk, Tensor, Trace

DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""Exceptions that Python raises for a damaged or foreign .npz; the last two for unknown compression and encryption."""
_ARRAYS = {"programs": PROGRAM, "steps": STEP, "runs": RUN, "indices": np.dtype(np.int32)}


@dataclass(frozen=True, eq=False)
class StoredChunks:
    """The chunk stream of a loaded trace: concatenated records, and the end of each chunk."""

    arrays: dict[str, NDArray[Any]]
    """Records of all chunks by name of the `Chunk` field."""
    ends: NDArray[np.int64]
    """[chunks + 1, 4]: the end of each chunk in the four arrays; the first row is zero."""
    barriers: NDArray[np.bool_]
    """[chunks]: `Chunk.barrier`."""
    once_cycles: NDArray[np.int64]
    """[chunks, 2]: `Chunk.once_cycles`."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunks, as views."""
        each = zip(self.ends[:-1], self.ends[1:], self.barriers, self.once_cycles.tolist(), strict=True)
        for start, stop, barrier, (course, issue) in each:
            cut = {name: self.arrays[name][a:b] for name, a, b in zip(_ARRAYS, start, stop, strict=True)}
            yield Chunk(cut["programs"], cut["steps"], cut["runs"], cut["indices"], bool(barrier), (course, issue))


def save_trace(trace: Trace, path: str | Path) -> None:
    """Write `trace` with its whole chunk stream to `path` (.npz)."""
    chunks = list(trace.chunks())
    meta = {f.name: getattr(trace, f.name) for f in fields(trace) if f.name not in ("make_chunks", "tensors")}
    meta["tensors"] = [asdict(tensor) for tensor in trace.tensors]
    sizes = [[len(getattr(chunk, name)) for name in _ARRAYS] for chunk in chunks]
    ends = np.cumsum(np.array([[0] * len(_ARRAYS), *sizes], np.int64), axis=0)
    arrays = {
        name: np.concatenate([np.zeros(0, dtype), *(getattr(c, name) for c in chunks)]).astype(dtype)
        for name, dtype in _ARRAYS.items()
    }
    with Path(path).open("wb") as file:
        barriers = np.array([chunk.barrier for chunk in chunks], bool)
        cycles = np.array([chunk.once_cycles for chunk in chunks], np.int64).reshape(-1, 2)
        named: dict[str, NDArray[Any]] = {"meta": np.array(json.dumps(meta)), "ends": ends}
        named |= {"barriers": barriers, "once_cycles": cycles}
        np.savez_compressed(file, allow_pickle=False, **named, **arrays)


def load_trace(path: str | Path) -> Trace:
    """The trace that `save_trace` wrote to `path`, exactly; WorkloadError if the file is another."""
    try:
        # Opened here, since NumPy does not close a file that is not an archive.
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            meta: dict[str, Any] = json.loads(str(file["meta"]))
            arrays = {name: file[name] for name in _ARRAYS}
            other = [name for name, dtype in _ARRAYS.items() if arrays[name].dtype != dtype]
            if other:
                raise ValueError(f"{other[0]} of another version")
            stored = StoredChunks(arrays, file["ends"], file["barriers"], file["once_cycles"])
        tensors = tuple(Tensor(**tensor) for tensor in meta.pop("tensors"))
        meta |= {name: tuple(meta[name]) for name in ("step_cycles", "once_cycles", "launch_cycles")}
        meta["engine"] = meta["engine"] and tuple(meta["engine"])
        return Trace(tensors=tensors, make_chunks=stored, **meta)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, *DAMAGE) as error:
        cause = " ".join(str(error).split())
        raise WorkloadError(f"{Path(path).name}: not a saved trace ({cause}); write it with save_trace") from None
