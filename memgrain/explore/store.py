"""The rows of a folder shared by several processes: one rows.jsonl, which a process opens only to append."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memgrain.errors import MemgrainError
from memgrain.runs.rows import NAME, Row, RowFile, read_rows

LOCK = "rows.lock"
"""Lock file, held while a process reads or appends."""


class RowStore:
    """The rows of a folder by id; each is stored once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Folder of the rows."""
        self._rows: dict[str, Row] = {}
        self._read_bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MemgrainError(f"cannot write {folder} ({error.strerror}); choose another folder") from None
        self._refresh()

    @property
    def path(self) -> Path:
        """File of the rows."""
        return self.folder / NAME

    def find(self, name: str) -> Row | None:
        """The row with id `name`, by whichever process appended it; None if there is none."""
        if name not in self._rows:
            self._refresh()
        return self._rows.get(name)

    def keep(self, row: Row) -> None:
        """Append the row, unless there is one with its id. It is on disk when this returns."""
        with locked(self.folder / LOCK), RowFile(self.folder) as file:
            file.append(row)
        self._rows[row["id"]] = row

    def _refresh(self) -> None:
        """Read rows that other processes have appended."""
        if not self.path.exists() or self.path.stat().st_size == self._read_bytes:
            return
        with locked(self.folder / LOCK):
            self._rows = {row["id"]: row for row in read_rows(self.path)}
            self._read_bytes = self.path.stat().st_size


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file for the block, waiting for other holders. On systems without such locks (Windows) there is no
    wait."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another folder") from None
    try:
        _lock(file, "LOCK_EX")
        yield
    finally:
        os.close(file)


class Presence:
    """A lock file that all processes working in a folder share."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another folder") from None
        _lock(self._file, "LOCK_SH")

    def alone(self) -> bool:
        """Whether no other process holds the file; False on systems without such locks."""
        alone = _lock(self._file, "LOCK_EX", "LOCK_NB")
        _lock(self._file, "LOCK_SH")
        return alone

    def leave(self) -> None:
        """Release the file."""
        os.close(self._file)


def _lock(file: int, *how: str) -> bool:
    """Lock by `fcntl.flock`; returns False if another process holds the lock, or on systems without such locks."""
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(file, sum(getattr(fcntl, name) for name in how))
    except OSError:
        return False
    return True
