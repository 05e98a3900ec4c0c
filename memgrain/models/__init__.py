"""A whole model on a chip, or on several: the time of a step, where it goes, and whether memory holds it."""

from __future__ import annotations

from memgrain.models.capacity import Capacity
from memgrain.models.job import ModelJob
from memgrain.models.prefetch_policy import PrefetchPolicy
from memgrain.models.prompt import prompt_time
from memgrain.models.request import ModelRequest
from memgrain.models.run import Line, ModelRun, run_model

__all__ = ["Capacity", "Line", "ModelJob", "ModelRequest", "ModelRun", "PrefetchPolicy", "prompt_time", "run_model"]
