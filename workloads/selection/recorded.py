"""Selected tokens recorded from a model, read from a file."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.selection.share import Share
from memgrain.workloads.trace_file import DAMAGE


class RecordedSelection(BaseModel):
    """Token numbers from a .npy file, or from the array `positions` of a .npz file; one decode step.

    The array is integer, [tokens], [lists, tokens] or [batch, lists, tokens]; an absent axis or one of length 1 applies
    to all lists or batch entries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["recorded"]
    """Name in the table of selections."""
    path: str
    """The file; a relative path in a YAML file is relative to that file."""
    share: Share = "group"
    """Owner of a list: each q head, each KV head's group, or all heads of a batch entry."""
    order: Literal["recorded", "sorted"] = "recorded"
    """Order in which the kernel reads the tokens."""

    @property
    def unit(self) -> int:
        """Recorded lists hold single tokens."""
        return 1

    def count(self, candidates: int, unit: int) -> int:
        """Tokens of a list; neither candidates nor units change it."""
        return int(self._positions().shape[-1])

    def choose(self, batch: int, number: int, tile: int, candidates: tuple[int, int], unit: int) -> NDArray[np.int32]:
        """Token numbers, int32, of list `number` of batch entry `batch`; they must be distinct candidates."""
        positions = self._positions()
        row = positions[_at(self.path, positions.shape[0], batch), _at(self.path, positions.shape[1], number)]
        start, stop = candidates
        if row.size and (row.min() < start or row.max() >= stop):
            wrong = row.min() if row.min() < start else row.max()
            raise WorkloadError(
                f"{self.path}: token {wrong} is outside the candidates {start}..{stop - 1}; record "
                "within them or change the pattern"
            )
        chosen: NDArray[np.int32] = row.astype(np.int32)
        ordered = np.sort(chosen)
        if np.any(ordered[1:] == ordered[:-1]):
            raise WorkloadError(f"{self.path}: a token occurs twice in list {number}, must be distinct; drop it")
        return ordered if self.order == "sorted" else chosen

    def _positions(self) -> NDArray[np.int64]:
        """The array of the file as [batch or 1, lists or 1, tokens]."""
        try:
            with open(self.path, "rb") as stream:
                loaded = np.load(stream, allow_pickle=False)
                array = np.asarray(loaded["positions"] if isinstance(loaded, np.lib.npyio.NpzFile) else loaded)
        except (OSError, ValueError, KeyError, EOFError, *DAMAGE) as error:
            cause = " ".join(str(error).split())
            raise WorkloadError(
                f"{self.path}: cannot read recorded positions ({cause}); give a .npy file or a .npz "
                "file with an array 'positions'"
            ) from None
        if array.dtype.kind not in "iu" or not 1 <= array.ndim <= 3 or not array.size:
            raise WorkloadError(
                f"{self.path}: expected integers [batch, lists, tokens], got {array.dtype} of shape "
                f"{array.shape}; save token numbers as int32"
            )
        return array.astype(np.int64).reshape((1,) * (3 - array.ndim) + array.shape)


def _at(path: str, length: int, number: int) -> int:
    if length == 1:
        return 0
    if number >= length:
        raise WorkloadError(f"{path}: no list {number} in an axis of {length}; record every list or one")
    return number
