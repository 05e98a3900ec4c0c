"""What all tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def compiled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is as in a later process: it does not say that it compiles, whichever test comes first."""
    monkeypatch.setattr("memgrain.sim.native.jit.fresh", lambda: False)
