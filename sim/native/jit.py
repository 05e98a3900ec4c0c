"""The decorator of every hot loop: Numba's njit with a cache folder that is keyed by the source of all hot loops.

Numba's own `cache=True` notices a change of the decorated function's file, not of a callee in another file, and then
silently runs the old callee. A folder named after the hash of all files that hold such functions or their constants
cannot be stale.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core import config

try:
    import fcntl
except ImportError:  # a system without it: every process compiles for itself
    fcntl = None  # type: ignore[assignment]


HOT = ("native", "engine", "levels", "cache", "dram", "curves")
"""The folders of this package whose functions and constants end up in compiled code."""


def _cache_folder() -> Path:
    digest = hashlib.sha256()
    for name in HOT:
        for path in sorted((Path(__file__).parents[1] / name).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update(numba.__version__.encode())
    root = (
        os.environ.get("MEMGRAIN_CACHE_DIR")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "memgrain"
    )
    folder = Path(root) / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir()) / f"memgrain-{os.getuid()}" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    return folder


CACHE_FOLDER = _cache_folder()
FRESH = not any(CACHE_FOLDER.iterdir())
"""Whether the hot loops have yet to be compiled: nothing was in the folder when this process came to it."""


def compile_once(function: Callable[..., Any], arguments: Sequence[object]) -> None:
    """Compile a function for such arguments, or load it. Of several processes that come to it at once, one compiles and
    the others wait for what it keeps: on two cores, two that compile side by side take nearly twice as long."""
    if config.DISABLE_JIT or function.signatures:  # type: ignore[attr-defined]
        return
    with open(CACHE_FOLDER / "lock", "w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        function.compile(tuple(map(numba.typeof, arguments)))  # type: ignore[attr-defined]


def _cached(function: Callable[..., Any], inline: bool, nogil: bool = False) -> Callable[..., Any]:
    before = config.CACHE_DIR
    config.CACHE_DIR = str(CACHE_FOLDER)
    try:
        # what is inlined is part of its callers' code in the cache; nothing here is called from C
        return njit(
            cache=not inline,
            error_model="numpy",
            forceinline=inline,
            _nrt=False,
            no_cfunc_wrapper=True,
            nogil=nogil,
        )(function)
    finally:
        config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled on first call, or loaded from the cache of an earlier process; as it is under
    NUMBA_DISABLE_JIT=1."""
    return _cached(function, False)


def apart(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, for loops that several threads run at once, each on arrays of its own."""
    return _cached(function, False, nogil=True)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, for the inner functions of a loop: a call with a dozen arrays costs more than most of their
    bodies. LLVM is told to inline them. Where Numba does, it infers the types of every copy anew: the lookup loop took
    90 s to compile instead of 10."""
    return _cached(function, True)
