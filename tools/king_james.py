#!/usr/bin/env python3
"""Writes the King James Bible into the folder that the task `lm-words` reads.

The text is that of Debian's packages bible-kjv and bible-kjv-text, whose program `bible` prints it. OUT
gets train.txt, valid.txt and test.txt, a verse a line, in lower case, with blanks between words and
around punctuation. Of each 1000 verses, 50 in a row validate and 50 others test; all others train.

usage: tools/king_james.py OUT
example: tools/king_james.py data/king-james
"""

import pathlib
import re
import subprocess
import sys

VERSES = 31102
BLOCK = 50  # verses in a row that are in one split
SPLITS = {9: "valid", 19: "test"}  # of each 20 blocks; the others train
WORD = re.compile(r"[a-z]+(?:'[a-z]+)*|[^\sa-z]")


def verses():
    """The text of each verse, in order."""
    try:
        shown = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], check=True, capture_output=True, text=True,
                               stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        sys.exit("king_james: the program 'bible' expected, not found; Debian has it in the packages "
                 "bible-kjv and bible-kjv-text (apt-get install bible-kjv bible-kjv-text)")
    except subprocess.CalledProcessError as error:
        sys.exit(f"king_james: bible: exit code 0 expected, {error.returncode} found: {error.stderr.strip()}")
    lines = shown.stdout.splitlines()
    if len(lines) != VERSES:
        sys.exit(f"king_james: {VERSES} verses expected of bible, {len(lines)} found")
    return [line.split(" ", 1)[1] for line in lines]  # behind "Ge1:1"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    texts = {"train": [], "valid": [], "test": []}
    for i, verse in enumerate(verses()):
        split = SPLITS.get(i // BLOCK % 20, "train")
        texts[split].append(" ".join(WORD.findall(verse.lower())))
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for split, lines in texts.items():
        (out / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{out / split}.txt: {len(lines)} verses, {sum(len(line.split()) + 1 for line in lines)} words")


if __name__ == "__main__":
    main()
