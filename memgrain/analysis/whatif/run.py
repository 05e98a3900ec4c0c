"""What-ifs answered: the time before and after each change, which part of it moved, and whether physics agrees."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from memgrain.analysis.whatif.changes import CHANGES, Change, Settings
from memgrain.runs.execute import DOMAIN, Watch
from memgrain.runs.rows import Row
from memgrain.runs.task import Files, Point, Task
from memgrain.uncertainty.sampling import answers

FLAT = 0.01
"""Share of the time below which a change counts as none: placement and order of requests alone move it so much."""
AGAINST = 0.05
"""Share of the time by which it may move against physics: tiles and splits left open are chosen anew for the changed
chip, and a launcher takes times within 5 % for equal (`memgrain.workloads.kernels.launcher`)."""
_TIME = "time."


@dataclass(frozen=True)
class WhatIf:
    """One change and its answer."""

    change: Change
    """What was changed."""
    settings: Settings
    """What it set."""
    before: Row
    """The row without the change."""
    after: Row | None
    """The row with it; None where it does not apply, or is refused."""
    refusal: str = ""
    """Why there is no answer, in a line."""

    @property
    def effect(self) -> float | None:
        """Change of the time as a share of the time before: -0.5 is half the time."""
        return self.after["time_us"] / self.before["time_us"] - 1 if self.after else None

    @property
    def plausible(self) -> bool | None:
        """Whether the time moved the way that physics lets it; None without an answer."""
        return None if self.effect is None else self.effect * self.change.direction > -AGAINST

    @property
    def moved(self) -> tuple[str, float, float] | None:
        """The part of the time that changed most: its name, its time before and after in us."""
        before, after = self.before, self.after
        if after is None:
            return None
        parts = [key for key in before | after if key.startswith(_TIME)]
        name = max(parts, key=lambda key: abs(after.get(key, 0.0) - before.get(key, 0.0)))
        return name.removeprefix(_TIME).removesuffix("_us"), before.get(name, 0.0), after.get(name, 0.0)

    @property
    def reason(self) -> str:
        """The size of the effect in words: what moved, or what the time goes to instead."""
        if self.effect is None or self.after is None or self.moved is None:
            return self.refusal
        name, before, after = self.moved
        share = f"{self.before['bottleneck']} would give back most"
        if abs(self.effect) < FLAT:
            return f"none: {share}"
        then = self.after["bottleneck"]
        rest = f"; then {then} would give back most" if then != self.before["bottleneck"] else ""
        return f"{name} {before:.4g} → {after:.4g} us{rest}"


def what_if(
    task: Task, out: Path | None = None, jobs: int | None = None, watch: Watch | None = None
) -> tuple[WhatIf, ...]:
    """Each change of `CHANGES` at a task, one at a time; rows are kept in `out` and not run again.

    A change that chip or workload refuses has the refusal in place of an answer. Raises HardwareError, WorkloadError,
    SimulationError or CodesignError if the task itself has no answer.
    """
    own, files = task.resolve(), Files()
    found: list[tuple[Change, Settings, Point | None, str]] = []
    for change in CHANGES:
        settings = change.settings(own)
        point, refusal = None, settings.absent and f"does not apply: {settings.absent}"
        if not refusal:
            try:
                point = _changed(task, settings).resolve(files)
            except DOMAIN as error:
                refusal = f"refused: {' '.join(str(error).split())}"
        found.append((change, settings, point, refusal))
    with tempfile.TemporaryDirectory() as scratch:
        points = [own, *(point for _, _, point, _ in found if point is not None)]
        rows, failures = answers(points, out or Path(scratch), jobs, watch)
    if own.id() not in rows:
        own.simulate()
    told = []
    for change, settings, point, refusal in found:
        after = rows.get(point.id()) if point is not None else None
        if point is not None and after is None:
            lines = (line.removeprefix(f"{point}: ") for line in failures if line.startswith(f"{point}: "))
            refusal = f"refused: {next(lines, 'no answer')}"
        told.append(WhatIf(change, settings, rows[own.id()], after, refusal))
    return tuple(told)


def _changed(task: Task, settings: Settings) -> Task:
    chip_set, workload_set = {**task.chip_set, **settings.chip}, {**task.workload_set, **settings.workload}
    return Task(task.chip, chip_set, task.workload, workload_set, task.before)
