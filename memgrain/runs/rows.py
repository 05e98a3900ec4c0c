"""rows.jsonl: one JSON object a line, appended to by one writer; read back as a frame."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    import pandas as pd

NAME = "rows.jsonl"
ORDER = "order.txt"
"""Name of the file beside the rows that lists the ids of points in the order of their sweeps. Rows are in the order in
which they finished."""
Row = dict[str, Any]


class RowFile:
    """An open rows.jsonl with the ids in it; a row is on disk when `append` returns.

    While it is open no other sweep can open it. A last line that a killed writer left unfinished is cut off on opening.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        """The file."""
        self.repaired = ""
        """A sentence about the line that was cut off on opening; empty if none was."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise MemgrainError(f"cannot write {self.path} ({error.strerror}); choose another folder") from None
        try:
            _lock(self._file, self.path)
            self._repair()
            self.ids = {row["id"] for row in read_rows(self.path)}
            """Ids of the rows in the file."""
        except BaseException:
            os.close(self._file)
            raise

    def append(self, row: Row) -> None:
        """Write one row as one line and wait until it is on disk; a row whose id is in the file is ignored."""
        if row["id"] in self.ids:
            return
        line = (json.dumps(row, default=_plain, separators=(",", ":")) + "\n").encode()
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            raise MemgrainError(
                f"cannot write {self.path} ({error.strerror}); make room, then run the same again: "
                "finished points are kept"
            ) from None
        self.ids.add(row["id"])

    def note_order(self, ids: Iterable[str]) -> None:
        """Append the ids to ORDER, in order, if they are not in it yet."""
        path = self.path.with_name(ORDER)
        known = read_order(path)
        new = [name for name in ids if name not in known]
        try:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"{name}\n" for name in new)
        except OSError as error:
            raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another folder") from None

    def _repair(self) -> None:
        size = os.fstat(self._file).st_size
        whole, tail = _split(self.path)
        if not tail:
            return
        if _parse(tail) is not None:
            os.write(self._file, b"\n")
            return
        os.ftruncate(self._file, size - len(tail))
        self.repaired = (
            f"{self.path}: line {whole.count(10) + 1} was cut off while it was written; it is dropped and its "
            "point runs again"
        )

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def read_rows(path: Path, strict: bool = False) -> Iterator[Row]:
    """The rows of the file, in its order; the first row of an id counts.

    An unfinished last line is skipped with a warning, or is an error if `strict`. Raises MemgrainError for any other
    line that is not a row; the file is never changed.
    """
    whole, tail = _split(path)
    seen: set[str] = set()
    lines = whole.splitlines()
    if tail and _parse(tail) is not None:
        lines.append(tail)
    elif tail:
        message = (
            f"{path}: line {len(lines) + 1} is cut off; run the sweep again in the same folder to complete it "
            f"({len(lines)} whole rows are kept)"
        )
        if strict:
            raise MemgrainError(message)
        warnings.warn(message, stacklevel=2)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = _parse(line)
        if row is None:
            raise MemgrainError(
                f"{path}: line {number} is not a row (a JSON object with an id); delete that line, then run the "
                "sweep again to fill the gap"
            )
        if row["id"] not in seen:
            seen.add(row["id"])
            yield row


def find_rows(path: str | Path) -> Path:
    """The rows.jsonl of a sweep's folder, or the file itself; raises MemgrainError if it is not there."""
    given = Path(path).expanduser()
    found = given / NAME if given.is_dir() else given
    if not found.is_file():
        raise MemgrainError(
            f"no rows at {found}; run a sweep with the folder {given if given.suffix == '' else given.parent} first"
        )
    return found


def read_order(path: Path) -> dict[str, int]:
    """The position of each id in an ORDER file; empty if there is no such file."""
    try:
        names = path.read_text(encoding="utf-8").split()
    except OSError:
        return {}
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def load_frame(path: str | Path, strict: bool = False, ids: Iterable[str] | None = None) -> pd.DataFrame:
    """The rows of a sweep's folder, or of its rows.jsonl, as a frame, in the order in which sweeps requested them; only
    those with the given `ids`, in their order. Raises MemgrainError if there are none."""
    import pandas as pd

    found = find_rows(path)
    rows = list(read_rows(found, strict))
    if not rows:
        raise MemgrainError(f"{found} has no rows yet; run the sweep again in the same folder to complete it")
    order = read_order(found.with_name(ORDER)) if ids is None else {name: place for place, name in enumerate(ids)}
    kept = rows if ids is None else [row for row in rows if row["id"] in order]
    kept.sort(key=lambda row: order.get(row["id"], len(order)))
    return pd.DataFrame(kept)


def _split(path: Path) -> tuple[bytes, bytes]:
    """The finished lines of a file, and what follows the last line end."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise MemgrainError(f"cannot read {path} ({error.strerror}); check its permissions") from None
    end = text.rfind(b"\n") + 1
    return text[:end], text[end:]


def _parse(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("id"), str) else None


def _plain(value: Any) -> Any:
    """A NumPy number as a Python number."""
    return value.item()


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MemgrainError(f"another sweep is writing {path}; wait for it, or choose another folder") from None
    except OSError:
        return
