"""Figures of speed and memory, printed beside their goals when all have been measured. No test here asserts a time."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter

import pytest

from tests.bench.document import Section, document, machine
from tests.bench.figure import Report

_BEGIN = perf_counter()
_MACHINE = machine()
_SECTIONS: dict[str, Section] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the figures are kept; `make bench` names docs/performance.md."""
    parser.addoption("--document", type=Path, help="write the figures of tests/bench into this Markdown file")


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Enters a figure into the table at the end, in the section of its module (HEADING and docstring)."""
    module = request.module
    section = _SECTIONS.setdefault(module.__name__, Section(module.HEADING, module.__doc__ or ""))
    return section.figures.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the table; write the document if that was asked for, all went well, and this is no CI."""
    if not _SECTIONS:
        return
    terminalreporter.section("speed and memory; medians", sep="-")
    for section in _SECTIONS.values():
        terminalreporter.write_line(f"{section.heading:<62} {'value':>9} {'unit':<12} {'goal':>8}")
        for figure in section.figures:
            terminalreporter.write_line(figure.line())
    path: Path | None = config.getoption("--document", None)
    if path is None:
        return
    if exitstatus != pytest.ExitCode.OK:
        terminalreporter.write_line(f"{path} stays as it was: a test failed")
    elif os.environ.get("CI", "").lower() not in ("", "0", "false"):
        terminalreporter.write_line(f"{path} stays as it was: CI is set, and figures of a shared machine are not kept")
    else:
        text = document(list(_SECTIONS.values()), _MACHINE, perf_counter() - _BEGIN)
        path.write_text(text, encoding="utf-8")
        terminalreporter.write_line(f"written: {path}")
