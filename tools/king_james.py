#!/usr/bin/env python3
"""Writes the King James Bible into the folder that the task `lm-words` reads.

The text is that of Debian's packages bible-kjv and bible-kjv-text, whose program `bible` prints it. OUT
gets train.txt, valid.txt and test.txt, a verse a line, in lower case, with blanks between words and
around punctuation. Of each 1000 verses, 50 in a row validate and 50 others test; all others train.

example: tools/king_james.py data/king-james
"""

import argparse
import collections
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
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", type=pathlib.Path, help="folder to write")
    parser.add_argument("--words", metavar="N", type=int,
                        help="<unk> in the place of all but the N most frequent words of the training split")
    options = parser.parse_args()
    texts = {"train": [], "valid": [], "test": []}
    for i, verse in enumerate(verses()):
        texts[SPLITS.get(i // BLOCK % 20, "train")].append(WORD.findall(verse.lower()))
    if options.words is not None:
        counts = collections.Counter(word for words in texts["train"] for word in words)
        known = {word for word, _ in counts.most_common(options.words)}
        for split, lines in texts.items():
            texts[split] = [[word if word in known else "<unk>" for word in words] for words in lines]
    options.out.mkdir(parents=True, exist_ok=True)
    for split, lines in texts.items():
        path = options.out / f"{split}.txt"
        path.write_text("".join(" ".join(words) + "\n" for words in lines), encoding="utf-8")
        print(f"{path}: {len(lines)} verses, {sum(len(words) + 1 for words in lines)} words")


if __name__ == "__main__":
    main()
