"""Workloads, sweeps, searches and claims that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from memgrain import workloads
from memgrain.errors import MemgrainError
from memgrain.inputs.spelling import suggest

SWEEPS = Path(__file__).parent / "sweeps"
SEARCHES = Path(__file__).parents[1] / "explore" / "searches"
CLAIMS = Path(__file__).parents[1] / "claims" / "article"
EXAMPLES = Path(workloads.__file__ or "").parent / "examples"


def workload_names() -> list[str]:
    """Names of the workloads that come with the package."""
    return sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


def sweep_names() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(path.stem for path in SWEEPS.glob("*.yaml"))


def shipped_files() -> dict[str, list[Path]]:
    """All that come with the package, by kind."""
    folders = {"workloads": EXAMPLES, "sweeps": SWEEPS, "searches": SEARCHES, "claims": CLAIMS}
    return {kind: sorted(folder.glob("*.yaml")) for kind, folder in folders.items()}


def find_workload(name: str | Path, beside: Path | None = None) -> Path:
    """The file of a workload: a path (relative to the folder `beside`, if given) or a shipped name."""
    return _find(name, EXAMPLES, "workload", workload_names(), beside)


def find_sweep(name: str | Path) -> Path:
    """The file of a sweep: a path or a shipped name."""
    return _find(name, SWEEPS, "sweep", sweep_names(), None)


def search_names() -> list[str]:
    """Names of the searches that come with the package."""
    return sorted(path.stem for path in SEARCHES.glob("*.yaml"))


def find_search(name: str | Path) -> Path:
    """The file of a search: a path or a shipped name."""
    return _find(name, SEARCHES, "search", search_names(), None)


def claim_names() -> list[str]:
    """Names of the shipped claims, which are the article's."""
    return sorted(path.stem for path in CLAIMS.glob("*.yaml"))


def find_claim(name: str | Path) -> Path:
    """The file of a claim: a path or a shipped name."""
    return _find(name, CLAIMS, "claim", claim_names(), None)


def _find(name: str | Path, folder: Path, what: str, known: list[str], beside: Path | None) -> Path:
    if str(name) in known:
        return folder / f"{name}.yaml"
    path = Path(name).expanduser()
    path = beside / path if beside and not path.is_absolute() else path
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise MemgrainError(f"no {what} file {path}; check the path, or name one of: {', '.join(known)}")
    raise MemgrainError(
        f"no {what} '{name}'{suggest(str(name), known)}; known: {', '.join(known)}; or give a .yaml file"
    )
