"""What is published: a wheel and a source archive that hold one package and run beside others named `sim`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = """
import json, sim, workloads, memgrain
result = memgrain.run("toy", "decode_dense", set={"shape.kv_len": 256})
print(json.dumps([memgrain.__file__, sim.__file__, workloads.__file__, result.time]))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel and the source archive of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


def test_the_wheel_holds_one_package_with_its_data(archives: dict[str, Path]) -> None:
    names = zipfile.ZipFile(archives["wheel"]).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"memgrain"}
    for path in ("py.typed", "sim/native/jit.py", "hwmodels/chips/h100_sxm.yaml", "workloads/kernels/fa3_decode.yaml"):
        assert f"memgrain/{path}" in names
    assert not any("measurements" in name for name in names)


def test_the_source_archive_can_be_tested(archives: dict[str, Path]) -> None:
    with tarfile.open(archives["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for path in ("memgrain/sim/simulate.py", "tests/test_package.py", "measurements/README.md", "docs/validation.md"):
        assert path in names


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_an_installed_archive_runs_beside_other_packages_of_its_folders_names(
    archives: dict[str, Path], kind: str, tmp_path: Path
) -> None:
    environment, here = tmp_path / "venv", tmp_path / "project"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    packages = next(environment.glob("lib/python*/site-packages"))
    # What Memgrain depends on comes from the environment of the tests.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", str(archives[kind])]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    for name in ("sim", "workloads"):
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text("raise_if_memgrain_looked_here = True\n")
    # Without compiling, which takes a minute: the loops are the same functions.
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([str(python), "-c", SCRIPT], cwd=here, env=clean, capture_output=True, text=True, check=True)
    memgrain, sim, workloads, time = json.loads(done.stdout)
    assert Path(memgrain).is_relative_to(packages)
    assert Path(sim).is_relative_to(here)
    assert Path(workloads).is_relative_to(here)
    assert time > 0
