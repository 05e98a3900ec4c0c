"""The validation error of a prediction: its evidence or the nearest evidence, bias and spread, and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from memgrain.errors import MemgrainError
from memgrain.hwmodels import Chip
from memgrain.inputs.quantities import format_bytes, format_duration
from memgrain.runs.labels import value_text
from memgrain.runs.validated.evidence import SIZES, Group, groups, kind_of, without_size
from memgrain.runs.validated.law import Joint, law
from memgrain.runs.validated.subject import CHANGED, LAYERS, NODES, STEP, UNKNOWN, WHOLE, Subject, subject_of
from memgrain.workloads import AnyWorkload

LabelLevel = Literal["validated", "between validated head dimensions", "no kernel is named", "not validated"]
VALIDATED: LabelLevel = "validated"
BETWEEN: LabelLevel = "between validated head dimensions"
NO_KERNEL: LabelLevel = "no kernel is named"
NOT: LabelLevel = "not validated"
LEVELS = LOW, HIGH = 0.05, 0.95
"""Quantiles at the ends of an interval."""
PROPERTIES = {
    "family": "what is computed",
    "kernel": "kernel",
    "chip": "chip",
    "pattern": "pattern",
    "dtype": "element type",
    "pages": "pages",
    "links": "number of chips",
    "caches": "caches before",
    "head_dim": "head dimension",
    "value_dim": "dimension of V",
}
"""Fields in which evidence may differ, with their names in words."""


@dataclass(frozen=True)
class ErrorLabel:
    """The validation error of a prediction and its evidence."""

    subject: Subject
    """Properties of the prediction."""
    level: LabelLevel
    """validated: the group has the same properties and size; between: as validated, but the head dimension lies between
    two measured ones; no kernel is named: the group has the same properties and size, but measured kernels represent a
    generic tiling; not validated: no measured rows are that close."""
    group: Group
    """The measured rows with the same properties, or the nearest ones."""
    differs: tuple[str, ...]
    """Properties in which these rows differ from the prediction."""
    joint: Joint
    """Distribution of the logarithm of measured / predicted time."""

    @property
    def bounded(self) -> bool:
        """Whether an interval can be given. There is none for chips over several nodes as long as no such step was
        measured on any chip, since the error of exchanges over a network is then unknown."""
        return self.subject.links != NODES or any(group.subject.links == NODES for group in groups().values())

    @property
    def factors(self) -> tuple[float, float] | None:
        """Ends of the interval of measured / predicted time from 5 to 95 %; None if it has no bounds."""
        return (self.joint.quantile(LOW), self.joint.quantile(HIGH)) if self.bounded else None

    @property
    def lines(self) -> tuple[str, str]:
        """The evidence, or the nearest evidence and how it differs, and its error, in words."""
        found = describe(self.group)
        if self.level == NO_KERNEL:
            kernels = " and ".join(dict.fromkeys(row.measured_kernel for row in self.group.rows))
            return f"not validated: {self.level}; a generic tiling beside the measured {kernels}: {found}", errors(
                self.group
            )
        if self.level == NOT:
            return f"not validated; nearest: {found}", f"{errors(self.group)}; differs in {', '.join(self.differs)}"
        return f"{self.level}: {found}", errors(self.group)

    @property
    def sentence(self) -> str:
        """The lines as one."""
        return "; ".join(self.lines)

    def interval(self, time: float) -> tuple[float, float] | None:
        """The expected measured time for a predicted one, in its unit, from 5 to 95 %; None if it has no bounds."""
        factors = self.factors
        return None if factors is None else (time * factors[0], time * factors[1])

    def expected(self, picoseconds: float) -> str:
        """The interval as text, to be appended to a time."""
        ends = self.interval(picoseconds)
        if ends is None:
            return " (not validated over nodes: no interval)"
        low, high = (format_duration(float(f"{end:.4g}")) for end in ends)
        return f"; if measured, {low} to {high} (9 of 10)"

    def columns(self) -> dict[str, Any]:
        """The columns of a row. Bias and spread are those of the named evidence, empty if it is not validated."""
        low, high = self.factors or (None, None)
        return {
            "validated": self.sentence,
            "validated_level": self.level,
            "validated_rows": len(self.group.rows) if self.level != NOT else 0,
            "validated_bias": self.group.bias if self.level != NOT else None,
            "validated_spread": self.group.spread if self.level != NOT else None,
            "measured_over_predicted_low": low,
            "measured_over_predicted_high": high,
            "validated_subject": self.subject.text,
        }


def bounded(known: Sequence[ErrorLabel]) -> Joint:
    """The joint distribution of several predictions' errors. Raises MemgrainError if one has no bounds."""
    for one in known:
        if not one.bounded:
            raise MemgrainError(
                f"{one.subject.pattern} on {one.subject.chip} runs over several nodes, where no step was measured, so "
                "its time has no interval; use as many chips as a node has"
            )
    return law().joint([one.subject for one in known])


def trust(chip: Chip, workload: AnyWorkload, before: str) -> ErrorLabel:
    """The error label of this workload on this chip, from that state of the caches."""
    return trust_in(subject_of(chip, workload, before))


@lru_cache(maxsize=4096)
def trust_in(subject: Subject) -> ErrorLabel:
    """The error label of a subject."""
    joint, known = law().joint([subject]), groups()
    own = known.get(without_size(subject))
    alike = [group for group in known.values() if kind_of(group.subject) == kind_of(subject)]
    fits = not _sizes_outside(subject, alike)
    if own is not None and fits:
        return ErrorLabel(subject, NO_KERNEL if subject.code == UNKNOWN else VALIDATED, own, (), joint)
    if own is None and fits and subject.code != UNKNOWN and (pair := _around(subject, alike)):
        rows = tuple(row for group in pair for row in group.rows)
        return ErrorLabel(subject, BETWEEN, Group(pair[0].subject, rows), (), joint)
    nearest = own or _nearest(subject, list(known.values()))
    return ErrorLabel(subject, NOT, nearest, _differences(subject, nearest), joint)


def _around(subject: Subject, alike: list[Group]) -> tuple[Group, Group] | None:
    """The groups with the next smaller and the next larger head dimension, if V is as wide as K in all of them."""
    if not subject.head_dim or subject.value_dim != subject.head_dim:
        return None
    square = [group for group in alike if group.subject.value_dim == group.subject.head_dim]
    below = [group for group in square if group.subject.head_dim < subject.head_dim]
    above = [group for group in square if group.subject.head_dim > subject.head_dim]
    if not below or not above:
        return None
    return max(below, key=lambda group: group.subject.head_dim), min(above, key=lambda group: group.subject.head_dim)


def _nearest(subject: Subject, known: list[Group]) -> Group:
    """The nearest group: of the same family, preferably of the same kernel, with the fewest differing properties; ties
    go to the group that shares the most error variance, then to the one with the most rows."""
    shared = law().parts.covariance([subject], [group.rows[0].subject for group in known])[0].round(9)

    def rank(index: int) -> tuple[bool, bool, int, float, int]:
        other = known[index].subject
        alike = sum(getattr(subject, name) == getattr(other, name) for name in PROPERTIES)
        same = subject.family == other.family
        kernel = (
            subject.family == STEP or subject.kernel == other.kernel
        )  # layers and whole steps are equally good evidence for a step
        return same, same and kernel, alike, float(shared[index]), len(known[index].rows)

    return known[max(range(len(known)), key=rank)]


def _sizes_outside(subject: Subject, alike: list[Group]) -> list[str]:
    """Sizes outside the range of the measured rows that differ at most in head dimension, in words."""
    if not alike:
        return []
    rows = Group(alike[0].subject, tuple(row for group in alike for row in group.rows))
    found = []
    for name in SIZES:
        low, high = rows.range_of(name)
        if not low <= getattr(subject, name) <= high:
            found.append(f"{_SIZE[name]} ({_amount(name, getattr(subject, name))}, measured {_range(name, low, high)})")
    return found


def _differences(subject: Subject, group: Group) -> tuple[str, ...]:
    found = []
    for name, word in PROPERTIES.items():
        word = "what runs" if name == "kernel" and subject.family == STEP else word
        own, other = getattr(subject, name), getattr(group.subject, name)
        if own != other and not (name == "value_dim" and subject.head_dim == subject.value_dim):
            value = f"not measured in {own}" if name == "dtype" and not _measured_in(subject) else _value(name, own)
            found.append(f"{word} ({value})")
    if subject.family == group.subject.family and subject.bytes:
        kind = kind_of(group.subject)
        found += _sizes_outside(subject, [other for other in groups().values() if kind_of(other.subject) == kind])
    return tuple(found) or ("size",)


def _measured_in(subject: Subject) -> bool:
    """Whether any row of the same kernel has the same element type."""
    wanted = subject.family, subject.kernel, subject.dtype
    return not subject.dtype or any((own.family, own.kernel, own.dtype) == wanted for own in groups())


_SIZE = {"tokens": "tokens", "batch": "batch", "group": "query rows of a KV head", "bytes": "bytes"}


def _value(name: str, value: object) -> str:
    if name == "kernel":
        return str(value) or "none is named"
    if name == "chip" and CHANGED in str(value):
        return f"{str(value).split(CHANGED)[0]} with other numbers"
    return str(value) or "none"


def _amount(name: str, value: int) -> str:
    return format_bytes(value) if name == "bytes" else value_text("", value)


def _range(name: str, low: int, high: int) -> str:
    return _amount(name, low) if low == high else f"{_amount(name, low)} to {_amount(name, high)}"


def describe(group: Group) -> str:
    """Describe the measured rows of a group in words."""
    dims = sorted({row.subject.head_dim for row in group.rows})
    parts = [what(group.subject), *_properties(group.subject, " and ".join(map(str, dims)))]
    return f"{', '.join(parts)} on {group.subject.chip}"


def errors(group: Group) -> str:
    """Describe the errors of a group of rows in words."""
    many = len(group.rows) > 1
    found = f"{len(group.rows)} row{'s' * many}{_sizes(group)}: bias {group.bias:+.1%}"
    return f"{found}, spread {group.spread:.1%}, worst {group.worst:+.1%}" if group.spread is not None else found


def what(subject: Subject) -> str:
    """Describe the computing kernel or model in words."""
    if subject.family in ("decode", "prefill"):
        code = f" (code {subject.code})" if subject.code not in ("", UNKNOWN) else ""
        return f"{subject.kernel}{code}" if subject.kernel else f"{subject.family} by a generic tiling"
    if subject.family == STEP:
        return {LAYERS: "layers of", WHOLE: "whole steps of"}[subject.kernel] + f" {subject.pattern}"
    return subject.family


def _properties(subject: Subject, head_dims: str) -> list[str]:
    found = [] if subject.family == STEP or not subject.pattern else [subject.pattern]
    if subject.head_dim:
        found.append(f"head dimension {head_dims}")
    if subject.value_dim != subject.head_dim:
        found.append(f"V {subject.value_dim}")
    found += [text for text in (subject.dtype, subject.pages, subject.links) if text]
    return found + ([] if subject.caches == "cold" else [f"{subject.caches} caches"])


def _sizes(group: Group) -> str:
    low, high = group.range_of("tokens")
    return f" of {_range('tokens', low, high)} tokens" if high else ""
