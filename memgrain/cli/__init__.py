"""The command `memgrain`: one file a verb, each imported only when it is called."""

from __future__ import annotations

import os
import sys

import typer

from memgrain.cli.verbs import group

VERBS = {
    "run": "Simulate one workload on one chip.",
    "sweep": "Answer every point of a grid; run again, it goes on.",
    "sensitivity": "Rank the numbers of a chip by what they do to an answer.",
    "whatif": "Change one number of a chip at a time, and say what that does.",
    "scaling": "Say how a decode step grows with the context, by mechanism.",
    "prefetch": "Say whether fetching ahead pays, and where it harms.",
    "collective": "Time an operation over several chips, such as an all-reduce.",
    "curve": "Say how often reads miss at other capacities or ways of the last cache.",
    "map": "Draw over-fetch, lines of equal time, rooflines, stalls, misses by tensor.",
    "explore": "Search designs for a Pareto front; run again, it goes on.",
    "solve": "Find the smallest, largest or best value of a key for which something holds.",
    "claims": "Put the claims of the article to the test.",
    "quality": "Say what was published of quality at a budget.",
    "plot": "Draw the rows of a sweep as heatmaps or lines.",
    "validate": "Hold predictions against measured rows.",
    "calibrate": "Fit numbers of a chip to its microbenchmarks.",
    "chips": "List the chips, or show one with its sources.",
    "model": "Run a whole model on a chip or on several; list and show models.",
    "cost": "Say what tokens of a model cost: money, energy, break-even.",
    "kernels": "List the attention kernels, or show one with its sources.",
    "trace": "Write, read, show and fit traces.",
    "examples": "List the workloads, sweeps, searches and claims of the package.",
    "explain": "Say what a number is, where it comes from, who reads it.",
    "schema": "Print the JSON Schema of a chip file, for editors.",
}
"""The verbs, each with the line that `memgrain --help` prints; a verb is `command` in the module of its name, or `app`
where it has verbs of its own."""


RENAMED = {"models": "'memgrain model list' or 'memgrain model show NAME'"}
"""Verbs of former versions, each with the command that replaces it."""

SIMULATING = frozenset(
    {
        "run",
        "sweep",
        "sensitivity",
        "whatif",
        "scaling",
        "prefetch",
        "curve",
        "claims",
        "validate",
        "calibrate",
        "map",
        "explore",
        "solve",
        "model run",
        "cost",
    }
)
"""Verbs that simulate; of a verb with verbs of its own, only these."""


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"memgrain {version('memgrain')}")
        raise typer.Exit


app = typer.Typer(
    cls=group(VERBS, __name__, {}, RENAMED), add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def memgrain(
    ctx: typer.Context,
    debug: bool = typer.Option(False, "--debug", help="Show where in the code an error arose."),
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    """A chip and an attention workload go in; misses, traffic and time come out."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def main() -> None:
    """Entry point: runs a verb; an error is one line on stderr and exit status 2, with `--debug` a traceback."""
    sys.exit(call(sys.argv[1:]))


def call(arguments: list[str]) -> int:
    """Run a verb; returns the exit status: 0, 2 for an error, 130 for Ctrl-C."""
    debug = "--debug" in arguments
    if {*arguments[:1], " ".join(arguments[:2])} & SIMULATING and "--help" not in arguments:
        _announce()
    try:
        status = app([a for a in arguments if a != "--debug"], prog_name="memgrain", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        print("memgrain: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        message = _one_line(error)
        fault = (
            f"{type(error).__name__}: {' '.join(str(error).split())}; a fault here, please report what --debug shows"
        )
        print(f"memgrain: {message or fault}", file=sys.stderr)
        return 2 if message else 1
    return int(status or 0)


def _announce() -> None:
    """Print a line if the hot loops have to be compiled first, which takes about a minute, once."""
    from memgrain.sim.native.jit import CACHE_FOLDER, FRESH

    if FRESH:
        print(f"memgrain: compiling the hot loops, once; they are kept in {CACHE_FOLDER.parent}", file=sys.stderr)


def _one_line(error: Exception) -> str | None:
    """The message of an error that the user can mend; None for any other."""
    if hasattr(error, "format_message"):
        verb = getattr(getattr(error, "ctx", None), "command_path", "memgrain")
        text = str(error.format_message()).rstrip(".")
        return f"{text[:1].lower()}{text[1:]}; see '{verb} --help'"
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"HardwareError", "WorkloadError", "SimulationError", "MemgrainError"}:
        return " ".join(str(error).split())
    return None
