"""How far a prediction may be trusted: what was predicted, the measured rows that come closest, the error.

A `Subject` is what validation distinguishes of a prediction: chip, kernel, pattern, head dimension, size and so on.
`evidence.csv` holds every measured row with its subject, measured time and predicted time; `make validation` writes it.
`trust` looks a subject up among these rows, and `law` says how errors of one subject carry over to another.
"""

from __future__ import annotations

from memgrain.runs.validated.error_label import HIGH, LEVELS, ErrorLabel, bounded, trust, trust_in, what
from memgrain.runs.validated.evidence import COLUMNS, EVIDENCE, Evidence, Group, evidence
from memgrain.runs.validated.law import Joint, Law, law
from memgrain.runs.validated.subject import GENERIC, Subject, from_text, subject_of

__all__ = [
    "COLUMNS",
    "EVIDENCE",
    "GENERIC",
    "HIGH",
    "LEVELS",
    "ErrorLabel",
    "Evidence",
    "Group",
    "Joint",
    "Law",
    "Subject",
    "bounded",
    "evidence",
    "from_text",
    "law",
    "subject_of",
    "trust",
    "trust_in",
    "what",
]
