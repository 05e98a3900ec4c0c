"""`memgrain model list`: the models by name."""

from __future__ import annotations

import json

from memgrain.cli.options import AsJson


def command(as_json: AsJson = False) -> None:
    """List the models: layers, kinds of attention, bytes of K and V a token, longest context."""
    from memgrain.cli.model.show import summary
    from memgrain.cli.tables import table
    from memgrain.cli.terminal import console
    from memgrain.workloads.models.model import load_model, model_names

    lines = [summary(load_model(known)) for known in model_names()]
    if as_json:
        print(json.dumps(lines, indent=2))
        return
    shown = table("name", "model", ">layers", "kinds of attention", ">KV bytes a token", ">context")
    for line in lines:
        kinds = " + ".join(f"{count} {kind}" for kind, count in line["kinds"].items())
        context = f"{line['context']:,}" if line["context"] else "–"
        shown.add_row(
            line["name"], line["title"], str(line["layers"]), kinds, f"{line['kv_bytes_per_token']:,.0f}", context
        )
    console().print(shown)
