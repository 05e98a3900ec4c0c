"""Types of structured arrays for the state of compiled loops.

An entry of such an array is a record: `slots[i].state` reads and writes the array, in compiled code and, because the
type is `np.record`, under NUMBA_DISABLE_JIT=1 too. Compiled, a record is one pointer, where an array is seven words of
a call.
"""

from __future__ import annotations

import numpy as np


def record_type(*fields: str | tuple[str, np.dtype]) -> np.dtype:
    """A record of int64 fields, or of fields that are records themselves.

    Raises ValueError for a name that every NumPy scalar has as an attribute (`base`, `size`, `repeat`), which would
    hide the field under NUMBA_DISABLE_JIT=1.
    """
    named = [(field, np.dtype(np.int64)) if isinstance(field, str) else field for field in fields]
    for name, _ in named:
        if hasattr(np.record, name):
            raise ValueError(f"a record cannot have the field '{name}', an attribute of NumPy's scalars; rename it")
    return np.dtype((np.record, np.dtype(named, align=True)))
