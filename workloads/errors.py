"""The one exception of this package."""

from __future__ import annotations


class WorkloadError(ValueError):
    """A workload that cannot be asked of any chip, or not of this one; one line: the value, the rule, the mend."""
