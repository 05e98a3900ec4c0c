"""Identity of a point: a digest of everything its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from memgrain.hwmodels import Chip
from memgrain.sim import MODEL_VERSION

CHIP_PROSE = {"title": True, "vendor": True, "note": True}
"""Fields of a chip that are for people: no result depends on them."""


def digest(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of plain values and of the model's version: equal inputs, however written, have equal digests."""
    whole = {**inputs, "model_version": MODEL_VERSION}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def chip_inputs(chip: Chip, links: bool) -> dict[str, Any]:
    """What results on a chip depend on; `links` to other chips count where several take part."""
    return chip.model_dump(mode="json", exclude=CHIP_PROSE if links else {**CHIP_PROSE, "interconnect": True})
