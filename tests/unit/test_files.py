"""Files appear whole or not at all."""

from __future__ import annotations

import polars as pl
import pytest

from journeykit.errors import ParameterError
from journeykit.support.files import replacing, write_frame

FRAME = pl.DataFrame({"path": [["a", "b"], ["c"]], "count": [2, 1]})


@pytest.mark.parametrize(("ending", "read"), [(".parquet", pl.read_parquet), (".ndjson", pl.read_ndjson)])
def test_frames_come_back(ending, read, tmp_path):
    path = tmp_path / "new" / f"answer{ending}"
    assert write_frame(FRAME, path) == path
    assert read(path).equals(FRAME)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_lists_in_csv(tmp_path):
    path = write_frame(FRAME, tmp_path / "answer.csv")
    assert path.read_text() == "path,count\na > b,2\nc,1\n"


@pytest.mark.parametrize("ending", ["", ".txt", ".parquet.old"])
def test_other_endings_are_refused(ending, tmp_path):
    path = tmp_path / f"answer{ending}"
    with pytest.raises(ParameterError) as raised:
        write_frame(FRAME, path)
    assert str(raised.value) == (
        f"the ending of the file name cannot be {path.suffix!r}. Choose one of: '.parquet', '.csv', '.ndjson', "
        "'.xlsx'."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "answer.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_was_written(tmp_path):
    """A file has the rights that any other new file has, not those of a temporary one."""
    plain = tmp_path / "plain"
    plain.touch()
    assert write_frame(FRAME, tmp_path / "answer.csv").stat().st_mode == plain.stat().st_mode
