"""Kernels give the same as the functions that they are compiled from, and their machine code is kept."""

from __future__ import annotations

import importlib.util
import pkgutil
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from journeykit.kernels import machine_code
from journeykit.kernels.compiling import Kernel, kernel

native = pytest.mark.skipif(
    not machine_code.takes(()), reason="numba itself calls the kernels on this system"
)


def weigh(pair, table, flag, factor, weight):
    """Return numbers of several types from arguments of several types."""
    first, second = pair
    total = 0.0
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            total += table[i, j] * (i + 2 * j)
    return first - second, total * weight, flag, factor


def reverse(values, out):
    """Write values backwards, by way of two arrays of its own; return nothing."""
    mine, ones = values.copy(), np.ones(values.size, np.int32)
    for i in range(values.size):
        out[i] = mine[values.size - 1 - i] + ones[i]


def shifted(values):
    """Return an array: more than is called without numba."""
    return values + 1


def largest_of(values, rounds):
    """Return the largest of what is once an argument and once a new array."""
    most = 0
    for i in range(rounds + 1):
        some = values if i % 2 == 0 else values * 2
        most = max(most, some[some.size - 1])
    return most


def hold(size, by, out):
    """Write the size of an array that is made for it, divided."""
    out[0] = np.empty(size, np.int64).size // by


def folder(monkeypatch, path):
    monkeypatch.setattr(machine_code, "_folder", lambda: path)
    return path


@pytest.mark.parametrize(
    "table",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.arange(24, dtype=np.uint8).reshape(4, 6)[::2, ::2],
        np.zeros((0, 3)),
    ],
)
@pytest.mark.parametrize("flag", [True, False, np.bool_(True)])
@pytest.mark.parametrize("factor", [-7, np.int32(-7), np.uint64(1 << 63), (1 << 64) - 1])
def test_gives_what_the_function_gives(table, flag, factor):
    arguments = ((5, np.int64(8)), table, flag, factor, 0.5)
    assert kernel(weigh)(*arguments) == weigh(*arguments)


def test_allocates(monkeypatch, tmp_path):
    folder(monkeypatch, tmp_path)
    compiled, out = kernel(reverse), np.zeros(3, np.int32)
    for _ in range(1000):
        assert compiled(np.array([1, 2, 4]), out) is None
    assert out.tolist() == [5, 3, 2]


@native
def test_nobody_counts_who_holds_arguments():
    code = """
define i32 @other(ptr %arg.x.0) {
  tail call void @NRT_incref(ptr %arg.x.0)
}
define i32 @mine(ptr %arg.x.0, ptr %arg.y.0.0) {
  tail call void @NRT_incref(ptr %arg.x.0), !noalias !1
  call void @NRT_incref(ptr nonnull %made)
  %here = phi ptr [ null, %a ], [ %there, %b ]
  %there = phi ptr [ %here, %a ], [ %arg.y.0.0, %b ]
  %either = phi ptr [ %made, %a ], [ %there, %b ]
  tail call void @NRT_decref(ptr %there)
  tail call void @NRT_decref(ptr %either)
}
"""
    dropped = ("%arg.x.0), !noalias !1", "decref(ptr %there)")
    kept = [line for line in code.splitlines() if not line.endswith(dropped)]
    assert machine_code._without_owners(code, "mine").splitlines() == kept


@native
def test_frees_what_it_allocates_beside_arguments(monkeypatch, tmp_path):
    folder(monkeypatch, tmp_path)
    compiled, values = kernel(largest_of), np.arange(1 << 17)
    compiled(values, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert compiled(values, 300) == 2 * values[-1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_leaves_to_numba_what_it_cannot_call(monkeypatch, tmp_path):
    folder(monkeypatch, tmp_path)
    compiled = kernel(shifted)
    assert compiled(np.array([1, 2])).tolist() == [2, 3]
    assert compiled(np.array([1, 2])).tolist() == [2, 3]


@native
@pytest.mark.parametrize(
    ("size", "by", "kind", "message"),
    [
        (1, 0, RuntimeError, "the kernel hold failed: ZeroDivisionError: integer division by zero"),
        (-1, 1, RuntimeError, "the kernel hold failed: ValueError: negative dimensions not allowed"),
        (
            1 << 45,
            1,
            MemoryError,
            "the kernel hold failed: MemoryError: Allocation failed (probably too large).",
        ),
    ],
)
def test_says_what_failed(monkeypatch, tmp_path, size, by, kind, message):
    folder(monkeypatch, tmp_path)
    for _ in range(2):
        with pytest.raises(kind) as failed:
            kernel(hold)(size, by, np.zeros(1, np.int64))
        assert str(failed.value) == message


@native
def test_keeps_machine_code(monkeypatch, tmp_path):
    folder(monkeypatch, tmp_path)
    kernel(reverse)(np.arange(3), np.zeros(3))
    again = Kernel(reverse)
    monkeypatch.setattr(machine_code, "_make", lambda *_: pytest.fail("compiled again"))
    out = np.zeros(3)
    again(np.arange(3), out)
    assert out.tolist() == [3, 2, 1]


@native
@pytest.mark.parametrize("damage", [b"", b"\n", b"{}\n", b"[1]\n", b"\x7fELF"])
def test_makes_damaged_machine_code_again(monkeypatch, tmp_path, damage):
    folder(monkeypatch, tmp_path)
    kernel(reverse)(np.arange(3), np.zeros(3))
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    for broken in (damage, whole[:-1], whole.replace(b'"origin": "', b'"origin": "0')):
        kept.write_bytes(broken)
        out = np.zeros(3)
        kernel(reverse)(np.arange(3), out)
        assert out.tolist() == [3, 2, 1]
        # The symbol holds a number that counts what was compiled in this process.
        assert abs(len(kept.read_bytes()) - len(whole)) < 100


@native
def test_works_where_nothing_can_be_kept(monkeypatch, tmp_path):
    for place in (None, tmp_path / "missing"):
        folder(monkeypatch, place)
        out = np.zeros(2)
        kernel(reverse)(np.arange(2), out)
        assert out.tolist() == [2, 1]


def test_machine_code_is_made_from_the_source_of_every_kernel():
    import journeykit.kernels

    modules = pkgutil.walk_packages(journeykit.kernels.__path__, "journeykit.kernels.")
    files = {Path(importlib.util.find_spec(each.name).origin) for each in modules}
    assert len(files) > 50
    assert {*files, Path(__file__)} <= set(machine_code.sources(__file__))
    # Its digest is made once for all kernels.
    assert len({machine_code.sources(str(file)) for file in files}) == 1


@native
def test_a_kept_kernel_is_called_without_numba():
    code = (
        "import sys, numpy as np\n"
        "from journeykit.kernels.ordering.user_ids import hash_integers\n"
        "ids = np.array([1, 42], np.uint64); hashes = np.empty(2, np.uint64)\n"
        "hash_integers(ids, hashes)\n"
        "print((hashes % np.uint64(64)).tolist(), 'numba' in sys.modules)"
    )
    source = str(Path(machine_code.__file__).parents[2])
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=source)
        for _ in range(2)
    ]
    assert runs[-1].stdout == "[31, 2] False\n"
