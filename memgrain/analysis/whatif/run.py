"""Run the what-if changes: time before and after each, the part of the time that moved, and whether the direction is
plausible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memgrain.analysis.whatif.changes import CHANGES, Change, ChangeSettings
from memgrain.runs.execute import DOMAIN
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import Row
from memgrain.runs.task import Files, Point, Task
from memgrain.uncertainty.sampling import answers

FLAT = 0.01
"""Relative change of the time that counts as none: placement and order of requests alone cause such changes."""
AGAINST = 0.05
"""Relative change that is tolerated against the expected direction: tiles and splits that the workload leaves open are
chosen anew for the changed chip, and the launcher treats times within 5 % as equal
(`memgrain.workloads.kernels.launcher`)."""
_TIME = "time."


@dataclass(frozen=True)
class WhatIf:
    """One change and its result."""

    change: Change
    """The change."""
    settings: ChangeSettings
    """The overrides."""
    before: Row
    """The row without the change."""
    after: Row | None
    """The row with the change; None if it does not apply or is refused."""
    refusal: str = ""
    """Reason why there is no result, one line."""

    @property
    def effect(self) -> float | None:
        """Relative change of the time: -0.5 is half the time."""
        return self.after["time_us"] / self.before["time_us"] - 1 if self.after else None

    @property
    def plausible(self) -> bool | None:
        """Whether the time moved in the expected direction; None without a result."""
        return None if self.effect is None else self.effect * self.change.direction > -AGAINST

    @property
    def moved(self) -> tuple[str, float, float] | None:
        """The part of the time that changed most: name, time before and time after in us."""
        before, after = self.before, self.after
        if after is None:
            return None
        parts = [key for key in before | after if key.startswith(_TIME)]
        name = max(parts, key=lambda key: abs(after.get(key, 0.0) - before.get(key, 0.0)))
        return name.removeprefix(_TIME).removesuffix("_us"), before.get(name, 0.0), after.get(name, 0.0)

    @property
    def reason(self) -> str:
        """The effect in words: the part that moved, or the bottleneck if there is no effect."""
        if self.effect is None or self.after is None or self.moved is None:
            return self.refusal
        name, before, after = self.moved
        share = f"{self.before['bottleneck']} would give back most"
        if abs(self.effect) < FLAT:
            return f"none: {share}"
        then = self.after["bottleneck"]
        rest = f"; then {then} would give back most" if then != self.before["bottleneck"] else ""
        return f"{name} {before:.4g} → {after:.4g} us{rest}"

    def record(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {
            "change": self.change.name,
            "set": {**{f"chip.{key}": value for key, value in self.settings.chip.items()}, **self.settings.workload},
            "time_us": self.after["time_us"] if self.after else None,
            "time_before_us": self.before["time_us"],
            "effect": self.effect,
            "plausible": self.plausible,
            "reason": self.reason,
            "physics": self.change.physics,
        }


def what_if(task: Task, options: RunOptions = RunOptions()) -> tuple[WhatIf, ...]:
    """Each change of `CHANGES` at a task, one at a time.

    A change that chip or workload refuses has the refusal in place of a result. Raises HardwareError, WorkloadError,
    SimulationError or MemgrainError if the task itself fails.
    """
    own, files = task.resolve(), Files()
    found: list[tuple[Change, ChangeSettings, Point | None, str]] = []
    for change in CHANGES:
        settings = change.settings(own)
        point, refusal = None, settings.absent and f"does not apply: {settings.absent}"
        if not refusal:
            try:
                point = _changed(task, settings).resolve(files)
            except DOMAIN as error:
                refusal = f"refused: {' '.join(str(error).split())}"
        found.append((change, settings, point, refusal))
    with options.folder() as folder:
        points = [own, *(point for _, _, point, _ in found if point is not None)]
        rows, failures = answers(points, folder, options)
    if own.id() not in rows:
        own.simulate()
    results = []
    for change, settings, point, refusal in found:
        after = rows.get(point.id()) if point is not None else None
        if point is not None and after is None:
            lines = (line.removeprefix(f"{point}: ") for line in failures if line.startswith(f"{point}: "))
            refusal = f"refused: {next(lines, 'no answer')}"
        results.append(WhatIf(change, settings, rows[own.id()], after, refusal))
    return tuple(results)


def _changed(task: Task, settings: ChangeSettings) -> Task:
    chip_set, workload_set = {**task.chip_set, **settings.chip}, {**task.workload_set, **settings.workload}
    return Task(task.chip, chip_set, task.workload, workload_set, task.before)
