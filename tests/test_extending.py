"""The replacement policy of docs/extending.md, added to a copy of the project, gives the worked sequence of that page.

`test_readme.py` runs the page's other examples.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "extending.md"


def apply(diff: str, root: Path) -> None:
    """Replace the old lines of each hunk, which must occur once in its file, by the new ones; `@@` parts hunks."""
    for part in re.split(r"^--- ", diff, flags=re.MULTILINE)[1:]:
        name, _, hunks = part.partition("\n")
        path = root / name.strip()
        text = path.read_text(encoding="utf-8")
        for hunk in re.split(r"^@@.*\n", hunks, flags=re.MULTILINE):
            lines = hunk.splitlines()
            old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
            new = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
            assert text.count(old) == 1, f"{name} has these lines {text.count(old)} times:\n{old}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


def test_the_policy_of_the_page_gives_its_worked_sequence(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (diff,) = re.findall(r"^```diff\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    ((sequence, expected),) = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|$", page, flags=re.MULTILINE)
    for folder in ("hwmodels", "workloads", "sim"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "memgrain").mkdir()
    for path in (ROOT / "memgrain").iterdir():
        if path.name not in ("hwmodels", "workloads", "sim", "__pycache__"):
            (tmp_path / "memgrain" / path.name).symlink_to(path)
    for folder in ("hwmodels", "workloads", "sim"):
        (tmp_path / "memgrain" / folder).symlink_to(tmp_path / folder)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    apply(diff, tmp_path)
    program = f"from tests.sim.test_lookup import letters; print(letters('nru', '{sequence}'), letters('lru', 'abca'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
    )
    assert done.stdout.split() == [expected, "abc."], done.stderr
