"""The decorators of hot loops: Numba's njit, with a cache folder keyed by the source of all hot loops.

Numba's own `cache=True` notices a change in the file of the decorated function, but not in another file that has a
callee, and then silently runs the old callee. A folder named after the hash of all files with such functions or their
constants cannot be stale. Importing this module makes no folder and hashes no file: the first compilation does.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numba
from numba import njit
from numba.core import config
from numba.core.caching import FunctionCache

try:
    import fcntl
except ImportError:  # a system without it: every process compiles for itself
    fcntl = None  # type: ignore[assignment]


HOT = ("native", "engine", "levels", "cache", "dram", "curves")
"""The folders of this package whose functions and constants end up in compiled code."""


@cache
def _opened() -> tuple[Path, bool]:
    """The cache folder, made if there is none, and whether it was empty."""
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
        user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
        folder = Path(tempfile.gettempdir()) / f"memgrain-{user}" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    return folder, not any(folder.iterdir())


def cache_folder() -> Path:
    """The folder that keeps compiled code, in `MEMGRAIN_CACHE_DIR` or the user's cache; made on first use."""
    return _opened()[0]


def fresh() -> bool:
    """Whether the hot loops have yet to be compiled: the cache folder was empty when this process opened it."""
    return _opened()[1]


class _Cache:
    """A function's cache in `cache_folder`, opened on first use."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def _numba(self) -> FunctionCache:
        before = config.CACHE_DIR
        config.CACHE_DIR = str(cache_folder())
        try:
            return FunctionCache(self._function)
        finally:
            config.CACHE_DIR = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._numba, name)


def compile_once(function: Callable[..., Any], arguments: Sequence[object]) -> None:
    """Compile a function for such arguments, or load it. Where several processes come to it at once, one compiles and
    the others wait for the result: on two cores, two that compile side by side take nearly twice as long."""
    if config.DISABLE_JIT or function.signatures:  # type: ignore[attr-defined]
        return
    with open(cache_folder() / "lock", "w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        function.compile(tuple(map(numba.typeof, arguments)))  # type: ignore[attr-defined]


def _njit(function: Callable[..., Any], inline: bool = False, nogil: bool = False) -> Callable[..., Any]:
    # nothing here is called from C
    found: Callable[..., Any] = njit(
        error_model="numpy", forceinline=inline, _nrt=False, no_cfunc_wrapper=True, nogil=nogil
    )(function)
    if not inline and not config.DISABLE_JIT:  # an inlined function is part of its callers' code
        found._cache = _Cache(function)  # type: ignore[attr-defined]
    return found


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled on first call, or loaded from the cache of an earlier process. Under NUMBA_DISABLE_JIT=1 it
    is the function itself."""
    return _njit(function)


def threaded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, for loops that several threads run at once, each on arrays of its own: it releases the GIL."""
    return _njit(function, nogil=True)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, for the inner functions of a loop: a call with a dozen arrays costs more than most of their
    bodies. LLVM inlines them, not Numba. Where Numba does, it infers the types of every copy anew: the lookup loop then
    took 90 s to compile instead of 10."""
    return _njit(function, inline=True)
