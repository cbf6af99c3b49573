"""Broken inputs for every reader: only our errors may come out, each within five seconds.

    python benchmarks/fuzz.py --each 10000 --readers log.csv log.parquet

Prints how the inputs of each reader ended. An input that ends otherwise is written to benchmarks/data/fuzz and named;
one that hangs ends the run with a traceback.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests import fuzz_formats  # noqa: E402
from tests.mutating import mutated  # noqa: E402


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=10_000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--readers", nargs="*", default=None)
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        seeds = fuzz_formats.seeds(Path(folder))
        for name in options.readers or seeds:
            failures += tried(name, *seeds[name], options.each, random.Random(f"{name} {options.seed}"))
    sys.exit(1 if failures else 0)


def tried(name, content, read, each, rng) -> int:
    """Try one reader; return how many inputs ended as none may."""
    fuzz_formats.read_whole(name, read, content)
    outcomes, failed, slowest, begun = Counter(), 0, 0.0, time.perf_counter()
    for number in range(each):
        broken = mutated(content, rng, fuzz_formats.TOKENS)
        faulthandler.dump_traceback_later(4 * fuzz_formats.LONGEST_SECONDS, exit=True)
        start = time.perf_counter()
        try:
            outcomes[fuzz_formats.outcome(name, read, broken)] += 1
        except AssertionError as error:
            failed += 1
            kept = HERE / "data" / "fuzz" / f"{number}-{name.replace('/', '-')}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(broken)
            print(f"{kept}: {str(error)[:200]}", flush=True)
        slowest = max(slowest, time.perf_counter() - start)
        faulthandler.cancel_dump_traceback_later()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - begun
    found = ", ".join(f"{kind} {count:,}" for kind, count in outcomes.most_common())
    took = f"{seconds:.0f} s, slowest {slowest:.2f} s, peak {peak:.0f} MB"
    print(f"{name}: {each:,} inputs, {failed:,} failures, {took}: {found}", flush=True)
    return failed


if __name__ == "__main__":
    main()
