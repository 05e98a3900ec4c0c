"""The time of a whole prompt, from its first chunk and its last."""

from __future__ import annotations

from dataclasses import replace

from memgrain.models.run import ModelRun, run_model


def prompt_time(last: ModelRun) -> int:
    """About how many ps all chunks of a prompt take whose last one is given: their number times the mean of the first's
    and the last's, as what attention does grows by the same from chunk to chunk.

    What selects stops growing at its number of rows, and so does a window: there it is the more too short or too long
    the fewer chunks there are. Errors as `run_model`, which simulates the first chunk.
    """
    step = last.request.step
    if step.tokens == step.context:
        return last.time
    first = run_model(replace(last.request, step=step.model_copy(update={"context": step.tokens})))
    return round((first.time + last.time) / 2 * step.context / step.tokens)
