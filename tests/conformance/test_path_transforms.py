"""Snowplow's path transforms, from its documentation and tests. D8.12."""

from __future__ import annotations

import json
import re

import pytest

from journeykit import path_transforms as transforms

pytestmark = pytest.mark.conformance


def test_snowplow(conformance):
    cases = json.loads((conformance / "vendor_docs.json").read_text())["cases"]
    cases = [case for case in cases if case["family"] == "path_transform"]
    assert cases
    for case in cases:
        path, channel = case["events"].split(" > "), case["query"]["removed_channel"]
        assert transforms.unique_path(path) == path
        for name, wanted in case["expected"].items():
            found = transformed(name, path, channel)
            assert " > ".join(found) == wanted, (case["id"], name)


def transformed(name, path, channel):
    transform, argument = re.fullmatch(r"(\w+?)(?:\((\d+)\))?", name).groups()
    if argument:
        return getattr(transforms, transform)(path, int(argument))
    if transform.startswith("remove"):
        return getattr(transforms, transform)(path, channel)
    if transform == "frequency_path":
        return [f"{name}({count})" for name, count in transforms.frequency_path(path)]
    return getattr(transforms, transform)(path)
