"""Fit parameters of a chip to its microbenchmarks: which parameters, on which rows, how, and with which remaining
error."""

from __future__ import annotations

from memgrain.calibration.fits import FITS, Fit, RowFilter
from memgrain.calibration.fragment import figures, fragment
from memgrain.calibration.run import ROWS, Calibration, open_calibration

__all__ = ["FITS", "ROWS", "Calibration", "Fit", "RowFilter", "figures", "fragment", "open_calibration"]
