"""What an architect asks of a chip: one number changed by a factor, and what that does to the time."""

from codesign.whatif.changes import CHANGES, Change
from codesign.whatif.run import WhatIf, what_if

__all__ = ["CHANGES", "Change", "WhatIf", "what_if"]
