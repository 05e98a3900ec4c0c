"""The one exception of this package."""

from __future__ import annotations


class WorkloadError(ValueError):
    """A workload is wrong, or does not fit this chip. The message names the value, the rule and the mend, in one
    line."""
