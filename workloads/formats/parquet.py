"""A compressed trace in one Parquet file that other tools can read.

A row is a `Chunk`, and a row group has one row, so that chunks are written and read one by one. Columns:

- `programs`, `steps`, `runs`: lists of structs with the fields of PROGRAM, STEP and RUN (see
  `memgrain.workloads.trace`), each of its own width; `indices`: a list of int32;

- `barrier`: a boolean; `once_cycles`: a list of two int64.

The other fields of the `Trace` are JSON under the key `memgrain.trace` of the file's metadata. In DuckDB, for instance,
`SELECT unnest(runs, recursive := true) FROM 'trace.parquet'` gives a table of runs. Indices and records are read back
bit by bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.files import cause
from memgrain.workloads.trace import PROGRAM, RUN, STEP, Chunk, Records, Tensor, Trace

KEY = b"memgrain.trace"
VERSION = 2
"""Version of this form; a file of another one is refused."""
_RECORDS = {"programs": PROGRAM, "steps": STEP, "runs": RUN}
_CYCLES = ("step_cycles", "once_cycles", "launch_cycles")


@dataclass(frozen=True, eq=False)
class ParquetChunks:
    """The chunk stream of a trace in a Parquet file, which is read again for each pass."""

    path: Path
    """The file."""

    def __call__(self) -> Iterator[Chunk]:
        """The chunks, one row group at a time."""
        try:
            with pq.ParquetFile(self.path) as file:
                for group in range(file.num_row_groups):
                    yield _chunk(file.read_row_group(group))
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise _not_a_trace(self.path, error) from None


def save_parquet(trace: Trace, path: Path) -> None:
    """Write `trace` with its whole chunk stream, chunk by chunk; WorkloadError if it cannot be written."""
    meta = {f.name: getattr(trace, f.name) for f in fields(trace) if f.name not in ("make_chunks", "tensors")}
    meta |= {"version": VERSION, "tensors": [asdict(tensor) for tensor in trace.tensors]}
    schema = _schema().with_metadata({KEY: json.dumps(meta).encode()})
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for chunk in trace.chunks():
                writer.write_table(_row(chunk, schema))
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be written ({cause(error)}); choose another place") from None


def load_parquet(path: Path) -> Trace:
    """The trace that `save_parquet` wrote to `path`, exactly; WorkloadError if the file is another."""
    try:
        schema = pq.read_schema(path)
        if KEY not in (schema.metadata or {}):
            raise ValueError(f"a table of {', '.join(map(repr, schema.names[:6]))}")
        meta: dict[str, Any] = json.loads(schema.metadata[KEY])
        if meta.pop("version") != VERSION or not schema.equals(_schema()):
            raise ValueError("another version of the form")
        tensors = tuple(Tensor(**tensor) for tensor in meta.pop("tensors"))
        meta |= {name: tuple(meta[name]) for name in _CYCLES}
        meta["engine"] = meta["engine"] and tuple(meta["engine"])
        return Trace(tensors=tensors, make_chunks=ParquetChunks(Path(path)), **meta)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_a_trace(Path(path), error) from None


def _not_a_trace(path: Path, error: Exception) -> WorkloadError:
    return WorkloadError(f"{path.name}: not a saved trace ({cause(error)}); write it with 'memgrain trace export'")


def _schema() -> Any:
    columns = [(name, pa.list_(_struct(dtype))) for name, dtype in _RECORDS.items()]
    rest = [("indices", pa.list_(pa.int32())), ("barrier", pa.bool_()), ("once_cycles", pa.list_(pa.int64()))]
    return pa.schema(columns + rest)


def _struct(dtype: np.dtype[np.void]) -> Any:
    assert dtype.fields is not None
    return pa.struct([(name, pa.from_numpy_dtype(dtype.fields[name][0])) for name in dtype.fields])


def _row(chunk: Chunk, schema: Any) -> Any:
    columns = []
    for name, dtype in _RECORDS.items():
        records: Records = getattr(chunk, name).astype(dtype)
        names = list(dtype.names or ())
        each = [pa.array(np.ascontiguousarray(records[part])) for part in names]
        columns.append(_one_list(pa.StructArray.from_arrays(each, fields=list(_struct(dtype)))))
    columns += [_one_list(pa.array(np.ascontiguousarray(chunk.indices))), pa.array([chunk.barrier])]
    columns.append(pa.array([list(chunk.once_cycles)], pa.list_(pa.int64())))
    return pa.Table.from_arrays(columns, schema=schema)


def _one_list(values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def _chunk(table: Any) -> Chunk:
    tables = {}
    for name, dtype in _RECORDS.items():
        values = table.column(name).combine_chunks().flatten()
        tables[name] = np.zeros(len(values), dtype)
        for part in dtype.names or ():
            tables[name][part] = values.field(part).to_numpy(zero_copy_only=False)
    indices: NDArray[np.int32] = table.column("indices").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    course, issue = table.column("once_cycles")[0].as_py()
    barrier = bool(table.column("barrier")[0].as_py())
    return Chunk(tables["programs"], tables["steps"], tables["runs"], indices, barrier, (course, issue))
