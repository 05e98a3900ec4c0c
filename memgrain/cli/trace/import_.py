"""`memgrain trace import`: traces of other simulators, attention masks and lists of tokens, into files of ours."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated

import typer

SELECTION = "selection"
"""The format of masks and lists."""


def command(
    file: Annotated[Path, typer.Argument(help="A trace, or a mask or lists of tokens (.npy, .npz).")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="A trace: .parquet or .npz; a recorded selection: .npz or .npy.")
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="ramulator2, dramsim3, oracle_general, dinero, din, parquet, npz, or selection (mask or lists); found "
            "out if left out.",
        ),
    ] = None,
    granule: Annotated[
        int,
        typer.Option(
            help="Bytes of an access where the file does not say (ramulator2, dramsim3); objects of oracle_general "
            "begin at multiples of it."
        ),
    ] = 64,
    query: Annotated[
        str, typer.Option(help="Which query of a selection to keep: a number, negative from the last, or all.")
    ] = "-1",
    kv_len: Annotated[int | None, typer.Option(help="Tokens of the context that a selection must lie within.")] = None,
) -> None:
    """Read and write; say what was found.

    A selection keeps [lists, tokens] of one query for `selection: {kind: recorded, path: OUT}`, or [lists, queries,
    tokens] with `--query all` for `memgrain trace fit`.
    """
    from memgrain.errors import MemgrainError
    from memgrain.workloads.formats import OWN, export, format_of, load

    if not file.is_file():
        raise MemgrainError(f"{file}: no such file; check the path")
    if out.is_file() and out.samefile(file):
        raise MemgrainError(f"{out} would be read and written at once; give -o another name")
    if form == SELECTION or (form is None and _holds_arrays(file)):
        _selection(file, out, query, kv_len)
        return
    own = format_of(out)
    if own not in OWN:
        raise MemgrainError(f"'{out.name}' is no trace of ours; end it in .parquet or .npz")
    trace = load(file, form, granule)
    export((trace,), out, own)
    runs = sum(len(chunk.runs) for chunk in trace.chunks())
    print(f"{out}: {trace.name}, {runs} runs over {', '.join(tensor.name for tensor in trace.tensors)}")


def _holds_arrays(file: Path) -> bool:
    """Whether a file is a NumPy file and not a trace."""
    if file.suffix != ".npz":
        return file.suffix == ".npy"
    try:
        with zipfile.ZipFile(file) as arrays:
            return "meta.npy" not in arrays.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _selection(file: Path, out: Path, query: str, kv_len: int | None) -> None:
    from memgrain.errors import MemgrainError
    from memgrain.workloads.formats.selections import read_selections, save_selections

    if out.suffix not in (".npz", ".npy"):
        raise MemgrainError(f"'{out.name}' is no file of a selection; end it in .npz or .npy")
    if query != "all" and not query.removeprefix("-").isdecimal():
        raise MemgrainError(f"query '{query}' is no number; give one, or all")
    kept = save_selections(read_selections(file, kv_len), None if query == "all" else int(query), out)
    print(
        f"{out}: {' x '.join(map(str, kept.shape))} tokens ({'lists, queries' if kept.ndim == 3 else 'lists'}, tokens)"
    )
