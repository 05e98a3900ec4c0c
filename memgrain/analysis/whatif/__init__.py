"""What-if analysis: the effect on the time of changing one parameter of a chip by a factor."""

from memgrain.analysis.whatif.changes import CHANGES, Change
from memgrain.analysis.whatif.run import WhatIf, what_if

__all__ = ["CHANGES", "Change", "WhatIf", "what_if"]
