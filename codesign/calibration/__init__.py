"""Numbers of a chip fitted to its microbenchmarks: which, on which rows, how, and with what remains unexplained."""

from __future__ import annotations

from codesign.calibration.fits import FITS, Fit, Rows
from codesign.calibration.fragment import figures, fragment
from codesign.calibration.run import ROWS, Calibration, open_calibration

__all__ = ["FITS", "ROWS", "Calibration", "Fit", "Rows", "figures", "fragment", "open_calibration"]
