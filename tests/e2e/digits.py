"""A small stand-in for MNIST: four idx files of digits drawn from a 5x7 font, shifted and noisy."""

import pathlib
import random
import struct

_FONT = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
_SIDE = 28
_SCALE = 3  # pixels a font dot is wide and high


def _image(digit, rng):
    rows = _FONT[digit].split()
    top = rng.randrange(0, _SIDE - 7 * _SCALE + 1)
    left = rng.randrange(2, _SIDE - 5 * _SCALE - 1)
    pixels = bytearray(rng.randrange(0, 40) for _ in range(_SIDE * _SIDE))
    for y in range(7 * _SCALE):
        for x in range(5 * _SCALE):
            if rows[y // _SCALE][x // _SCALE] == "1":
                pixels[(top + y) * _SIDE + left + x] = rng.randrange(180, 256)
    return bytes(pixels)


def write(folder, train=2000, test=300, seed=1):
    """Writes the four files under `folder`, which is made."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for prefix, count in (("train", train), ("t10k", test)):
        labels = [i % 10 for i in range(count)]
        rng.shuffle(labels)
        images = b"".join(_image(label, rng) for label in labels)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, count, _SIDE, _SIDE) + images)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, count) + bytes(labels))
