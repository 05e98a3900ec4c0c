"""Is rows.jsonl safe: appended whole, repaired where a writer was killed, never changed where it is wrong?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from memgrain.errors import MemgrainError
from memgrain.runs.rows import RowFile, load_frame, read_rows


def fill(folder: Path, count: int = 3) -> Path:
    with RowFile(folder) as rows:
        for number in range(count):
            rows.append({"id": str(number), "l2.hits": np.int64(number)})
    return folder / "rows.jsonl"


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    path = fill(tmp_path)
    assert [row["l2.hits"] for row in read_rows(path)] == [0, 1, 2]
    assert list(load_frame(tmp_path)["id"]) == list(load_frame(path)["id"]) == ["0", "1", "2"]


def test_a_row_is_kept_once(tmp_path: Path) -> None:
    path = fill(tmp_path)
    fill(tmp_path, 4)
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_cut_off_line_is_dropped_and_the_next_append_is_clean(tmp_path: Path, cut: int) -> None:
    path = fill(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    with RowFile(tmp_path) as rows:
        whole = cut == 1
        assert rows.ids == ({"0", "1", "2"} if whole else {"0", "1"})
        assert ("line 3 was cut off" in rows.repaired) is not whole
        rows.append({"id": "new"})
    lines = path.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == (["0", "1", "2", "new"] if whole else ["0", "1", "new"])


def test_reading_skips_a_cut_off_line_with_a_warning_or_refuses(tmp_path: Path) -> None:
    path = fill(tmp_path)
    before = path.read_bytes()[:-5]
    path.write_bytes(before)
    with pytest.warns(UserWarning, match="line 3 is cut off; run the sweep again"):
        assert len(load_frame(tmp_path)) == 2
    with pytest.raises(MemgrainError, match=r"line 3 is cut off; run the sweep again in the same folder .*2 whole"):
        load_frame(tmp_path, strict=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("broken", [b'{"id": "1"', b"[]", b'{"no": "id"}', b"\x00\x00"])
def test_a_broken_line_in_the_middle_is_an_error_and_nothing_is_lost(tmp_path: Path, broken: bytes) -> None:
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], broken, lines[2], b""]))
    before = path.read_bytes()
    with pytest.raises(MemgrainError, match=r"line 2 is not a row .* delete that line"):
        load_frame(tmp_path)
    with pytest.raises(MemgrainError, match="line 2 is not a row"):
        RowFile(tmp_path)
    assert path.read_bytes() == before


def test_two_writers_do_not_share_a_file(tmp_path: Path) -> None:
    with RowFile(tmp_path), pytest.raises(MemgrainError, match="another sweep is writing"):
        RowFile(tmp_path)
    with RowFile(tmp_path):
        pass


def test_places_without_rows_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MemgrainError, match="run a sweep with the folder"):
        load_frame(tmp_path)
    (tmp_path / "rows.jsonl").touch()
    with pytest.raises(MemgrainError, match="has no rows yet"):
        load_frame(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MemgrainError, match="cannot write"):
        RowFile(tmp_path / "file")
