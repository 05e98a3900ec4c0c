"""The validation error of a prediction: its properties, the closest measured rows, and the distribution of the error.

A `Subject` holds the properties of a prediction that validation distinguishes: chip, kernel, pattern, head dimension,
size and so on. `evidence.csv` contains every measured row with its subject, measured time and predicted time; `make
validation` writes it. `trust` finds the error label of a subject among these rows, and `law` describes how errors of
one subject carry over to another.
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
