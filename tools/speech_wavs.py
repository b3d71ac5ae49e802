#!/usr/bin/env python3
"""Unpacks a packed copy of the Arabic Speech Commands into the folder that `speech-keywords` reads.

PACKED holds, for each SPLIT of train, val and test, SPLIT.csv with a column `source_file` and
SPLIT.mulaw8k.xz: xz of one second of 8 kHz mu-law (ITU-T G.711) for each line. OUT gets the SPLIT.csv
and each recording as a 16-bit WAV file under its `source_file`.

usage: tools/speech_wavs.py PACKED OUT
example: tools/speech_wavs.py packed data/speech-keywords
"""

import csv
import lzma
import pathlib
import shutil
import struct
import sys
import wave

RATE = 8000
SAMPLES = 8000  # of each recording


def linear(code):
    """The 16-bit sample of one mu-law byte."""
    code = ~code & 255
    size = ((((code & 15) << 3) + 132) << (code >> 4 & 7)) - 132
    return -size if code & 128 else size


LINEAR = [struct.pack("<h", linear(code)) for code in range(256)]


def unpack(packed, out, split):
    with open(packed / f"{split}.csv", newline="", encoding="utf-8") as lines:
        files = [row["source_file"] for row in csv.DictReader(lines)]
    with lzma.open(packed / f"{split}.mulaw8k.xz") as stream:
        codes = stream.read()
    if len(codes) != len(files) * SAMPLES:
        sys.exit(f"speech_wavs: {packed / split}.mulaw8k.xz: {len(files) * SAMPLES} samples expected "
                 f"for the {len(files)} lines of {split}.csv, {len(codes)} found")
    for i, file in enumerate(files):
        target = out / file
        if not target.resolve().is_relative_to(out.resolve()):
            sys.exit(f"speech_wavs: {split}.csv: a file below {out} expected, '{file}' found")
        target.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(target), "wb") as wav:
            wav.setparams((1, 2, RATE, SAMPLES, "NONE", "not compressed"))
            wav.writeframes(b"".join(LINEAR[c] for c in codes[i * SAMPLES:(i + 1) * SAMPLES]))
    shutil.copyfile(packed / f"{split}.csv", out / f"{split}.csv")


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    packed, out = map(pathlib.Path, sys.argv[1:])
    for split in ("train", "val", "test"):
        unpack(packed, out, split)


if __name__ == "__main__":
    main()
