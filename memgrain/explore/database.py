"""The study of a search in its database: create or open it, lock it, and fail trials that dead processes left."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memgrain.errors import MemgrainError
from memgrain.explore.spec import Search
from memgrain.explore.store import Presence, locked

if TYPE_CHECKING:
    import optuna

DATABASE = "study.db"
"""File name of the study's database if no URL is given."""
STUDY_LOCK = "study.lock"
"""Lock file, held while a process opens the study or asks it for a point."""
USERS_LOCK = "study.users"
"""Lock file that every process working on the study holds."""
BUSY_TIMEOUT = 120
"""Seconds to wait for another process's write to the database."""
DIGEST = "memgrain.search"
"""Attribute of a study with the digest of its search."""


@dataclass(frozen=True)
class _Database:
    """An open database."""

    storage: optuna.storages.RDBStorage
    """Optuna's storage."""
    where: str
    """Its file, or its URL without the password."""


@contextmanager
def opened(search: Search, folder: Path, storage: str | None) -> Iterator[optuna.Study]:
    """Open the study of a search, or create it. Raises MemgrainError if the study belongs to another search or the
    database fails."""
    from sqlalchemy.exc import SQLAlchemyError

    with warnings.catch_warnings():
        # The warning is about a notebook progress bar, which Optuna loads and this project does not show.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where = str(folder / DATABASE) if storage is None else _readable(storage)
    presence = Presence(folder / USERS_LOCK)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            with ExitStack() as open_:
                with locked(folder / STUDY_LOCK):  # one process at a time creates the tables
                    study = _study(search, open_.enter_context(_connected(folder, storage)))
                    if presence.alone() and storage is None:
                        fail_running_trials(study)
                yield study
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        mend = (
            "run the same command again: finished trials are kept"
            if storage is None
            else "check the URL and its driver (pip install), or leave it out for a file in the folder; rows are kept"
        )
        raise MemgrainError(f"the database {where} failed ({reason}); {mend}") from None
    finally:
        presence.leave()


def _readable(url: str) -> str:
    """A database's URL for display, without its password. Raises MemgrainError if the database is not persistent."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise MemgrainError(
            f"'{url}' is not the URL of a database; write one such as sqlite:///study.db or "
            "postgresql+psycopg://user@host/name, or leave it out"
        ) from None
    if found.get_backend_name() == "sqlite" and found.database in (None, "", ":memory:"):
        raise MemgrainError(
            f"the database {url} is lost when this process ends; give a file, sqlite:///study.db, or leave it out"
        )
    return found.render_as_string()


def fail_running_trials(study: optuna.Study) -> None:
    """Mark running trials as failed, because their process is gone."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


@contextmanager
def _connected(folder: Path, url: str | None) -> Iterator[_Database]:
    """Connect to the database at a URL, or to the folder's own. All connections are closed at the end."""
    import optuna

    arguments = _arguments(folder, url)
    where = url or f"sqlite:///{folder / DATABASE}"
    _try(where, arguments)
    storage = optuna.storages.RDBStorage(where, engine_kwargs=arguments)
    try:
        yield _Database(storage, _readable(url) if url else str(folder / DATABASE))
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _arguments(folder: Path, url: str | None) -> dict[str, Any]:
    """Arguments with which SQLAlchemy opens the database."""
    if url is not None:
        return {"connect_args": {"timeout": BUSY_TIMEOUT}} if url.startswith("sqlite") else {}

    def connect() -> sqlite3.Connection:
        found = sqlite3.connect(folder / DATABASE, timeout=BUSY_TIMEOUT, check_same_thread=False)
        try:
            # A commit need not wait for the disk: after a power cut, lost trials are found again in the rows, which do
            # wait.
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.Error:
            found.close()
            raise
        return found

    return {"creator": connect}


def _try(where: str, arguments: dict[str, Any]) -> None:
    """Read the list of tables and disconnect. Raises SQLAlchemyError on failure. This check comes first because
    Optuna's storage, if its constructor fails, leaves connections open that nothing can close."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(where, **arguments)
    try:
        inspect(engine).get_table_names()
    finally:
        engine.dispose()


def _study(search: Search, database: _Database) -> optuna.Study:
    import optuna

    study = optuna.create_study(
        storage=database.storage,
        study_name=search.name,
        directions=["minimize" if direction == "minimise" else "maximize" for direction in search.objectives.values()],
        load_if_exists=True,
    )
    known = study.user_attrs.get(DIGEST)
    if known is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(DIGEST, search.digest())
    elif known != search.digest():
        raise MemgrainError(
            f"the study '{search.name}' at {database.where} belongs to another search, or to another version of the "
            "model; choose another folder, or another name"
        )
    return study
