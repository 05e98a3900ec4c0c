"""`memgrain schema`: the JSON Schema of a chip file."""

from __future__ import annotations

import json


def command() -> None:
    """Print the schema."""
    from memgrain.hwmodels.schema import chip_schema

    print(json.dumps(chip_schema(), indent=2))
