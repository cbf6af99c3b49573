"""Whatever bytes a reader meets, it ends in a log or in one of our errors. `benchmarks/fuzz.py` tries more."""

from __future__ import annotations

import random

import pytest

from tests import fuzz_formats
from tests.mutating import mutated

READERS = (
    "log.csv", "log.ndjson", "log.parquet", "log.log", "stages.toml", "expected.toml", "store/manifest.json",
    "store/events", "store/users", "store/sessions",
)  # fmt: skip
EACH = 40


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    return fuzz_formats.seeds(tmp_path_factory.mktemp("fuzz"))


def test_every_reader_is_tried(seeds):
    assert set(READERS) == set(seeds)


def test_files_on_which_polars_panics(seeds):
    content, read = seeds["log.parquet"]
    rng = random.Random("log.parquet 1")
    broken = [mutated(content, rng, fuzz_formats.TOKENS) for _ in range(1_055)]
    for number in (451, 1_054):
        assert fuzz_formats.outcome("log.parquet", read, broken[number]) == "UnreadableFileError"


@pytest.mark.parametrize("name", READERS)
def test_only_our_errors_come_out(name, seeds):
    content, read = seeds[name]
    assert fuzz_formats.read_whole(name, read, content) == "read"
    rng = random.Random(f"{name} 1")
    found = [
        fuzz_formats.outcome(name, read, mutated(content, rng, fuzz_formats.TOKENS)) for _ in range(EACH)
    ]
    assert any(each != "read" for each in found)
