"""The options --uncertainty, --samples, --seed and --metric of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memgrain.cli.terminal import SweepProgress
from memgrain.errors import MemgrainError
from memgrain.runs.labels import SHARE
from memgrain.runs.options import RunOptions
from memgrain.runs.sweep import Sweep

if TYPE_CHECKING:
    from memgrain.uncertainty.sweeps import Intervals


@dataclass(frozen=True)
class Draws:
    """Which intervals of a sweep are wanted."""

    metric: str
    """The metric."""
    options: str
    """The options as text for a command line, with a space in front."""

    @classmethod
    def of(cls, wanted: bool, samples: int | None, seed: int | None, metric: str | None) -> Draws | None:
        """The draws that options ask for, those left out filled in; None if none are wanted.

        Raises MemgrainError, before anything is simulated, for options that nothing would read or that cannot be.
        """
        given = {"--samples": samples, "--seed": seed, "--metric": metric}
        named = {name: value for name, value in given.items() if value is not None}
        if not wanted:
            refuse_idle(given)
            return None
        from memgrain.uncertainty.sampling import check_figure

        check_figure(metric or SHARE)
        options = "".join(f" {name} {value}" for name, value in named.items())
        return cls(metric or SHARE, f" --uncertainty{options}")

    def intervals(self, sweep: Sweep, folder: Path, options: RunOptions, progress: SweepProgress) -> Intervals:
        """The intervals of a sweep whose rows are in that folder."""
        from memgrain.cli.uncertainty import Rounds
        from memgrain.uncertainty.sweeps import intervals_of

        return intervals_of(sweep, folder, self.metric, replace(options, progress=Rounds(progress)))


def refuse_idle(given: Mapping[str, object]) -> None:
    """Raise MemgrainError for an option that is given and is read with --uncertainty only."""
    for name in (name for name, value in given.items() if value is not None):
        raise MemgrainError(f"{name} is read with --uncertainty only; add that, or leave {name} out")
