"""Transforms of channel paths: edges that the examples of the docstrings leave open. D8.12."""

from __future__ import annotations

import pytest

from journeykit import path_transforms as transforms
from journeykit.errors import ParameterError

PATHS = (
    [],
    ["a"],
    ["d"],
    ["d", "d"],
    ["a", "d"],
    ["d", "a"],
    ["d", "a", "d", "d"],
    ["a", "b", "a", "a", "b"],
)


@pytest.mark.parametrize("path", PATHS)
def test_every_transform_returns_a_new_list_of_the_paths_own_names(path):
    before = list(path)
    for made in (
        transforms.unique_path(path),
        transforms.exposure_path(path),
        transforms.first_path(path),
        [name for name, _ in transforms.frequency_path(path)],
        transforms.remove_if_not_all(path, "d"),
        transforms.remove_if_last_and_not_all(path, "d"),
        transforms.trim_long_path(path, 2),
    ):
        assert made is not path
        assert set(made) <= set(path)
        assert bool(made) == bool(path)
    assert path == before


@pytest.mark.parametrize(
    "path, not_all, last_and_not_all",
    [
        (["a", "d"], ["a"], ["a"]),
        (["d", "a"], ["a"], ["d", "a"]),
        (["d", "a", "d", "d"], ["a"], ["d", "a"]),
        (["d", "d"], ["d", "d"], ["d", "d"]),
        (["a"], ["a"], ["a"]),
    ],
)
def test_leaving_out_a_channel(path, not_all, last_and_not_all):
    assert transforms.remove_if_not_all(path, "d") == not_all
    assert transforms.remove_if_last_and_not_all(path, "d") == last_and_not_all


def test_the_last_names_are_kept_and_counts_follow_first_occurrence():
    assert transforms.trim_long_path(["a", "b", "c"], 1) == ["c"]
    assert transforms.trim_long_path(["a", "b"], 5) == ["a", "b"]
    assert transforms.frequency_path(["b", "a", "b", "b"]) == [("b", 3), ("a", 1)]
    for n in (0, -1, 1.0, True):
        with pytest.raises(ParameterError, match="n must be a whole number from 1 on, not"):
            transforms.trim_long_path(["a"], n)
