"""Damaged files for robustness tests: bits flipped, bytes cut out, ends cut off, lengths made wrong.

In: the bytes of a whole file. Out: as many damaged copies as asked, the same for the same seed.
"""

from collections.abc import Iterator

import numpy as np

_LENGTHS = (b"\x00" * 2, b"\xff" * 2, b"\x00" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x01\x00\x00\x80")


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` damaged copies of `data`, each damaged in one of six ways.

    Half of the places are chosen in the first 2048 bytes, where headers are.
    """
    chance = np.random.default_rng(seed)
    for _ in range(count):
        damaged = bytearray(data)
        end = min(len(data), 2048) if chance.random() < 0.5 else len(data)
        place = int(chance.integers(end))
        match int(chance.integers(6)):
            case 0:  # one bit
                damaged[place] ^= 1 << int(chance.integers(8))
            case 1:  # many bits, all over
                for index in chance.integers(end, size=1 + int(chance.integers(40))):
                    damaged[index] ^= 1 << int(chance.integers(8))
            case 2:  # the end is missing
                del damaged[place:]
            case 3:  # a piece is missing
                del damaged[place : place + 1 + int(chance.integers(64))]
            case 4:  # a number that may be a length becomes absurd
                wrong = _LENGTHS[int(chance.integers(len(_LENGTHS)))]
                damaged[place : place + len(wrong)] = wrong
            case _:  # a piece comes twice
                damaged[place:place] = damaged[place : place + 1 + int(chance.integers(64))]
        yield bytes(damaged)
