"""What an architect asks of a chip: one number changed by a factor, and what that does to the time."""

from memgrain.analysis.whatif.changes import CHANGES, Change
from memgrain.analysis.whatif.run import WhatIf, what_if

__all__ = ["CHANGES", "Change", "WhatIf", "what_if"]
