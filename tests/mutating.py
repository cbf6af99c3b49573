"""Files changed at random places, for whoever reads broken ones."""

from __future__ import annotations

import random
from collections.abc import Sequence


def mutated(content: bytes, rng: random.Random, tokens: Sequence[bytes]) -> bytes:
    """Change a few places: bytes flipped, cut out, repeated, replaced by noise or by what parsers stumble over."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(found) + 1)
        end = min(len(found), start + rng.choice((0, 1, 2, 8, 64, len(found) // 2)))
        kind = rng.randrange(6)
        if kind == 0:
            found[start:end] = bytes(byte ^ (1 << rng.randrange(8)) for byte in found[start:end])
        elif kind == 1:
            del found[start:end]
        elif kind == 2:
            found[start:start] = found[start:end]
        elif kind == 3:
            found[start:end] = rng.choice(tokens)
        elif kind == 4:
            found[start:end] = rng.randbytes(end - start)
        else:
            del found[start:]
    return bytes(found)
