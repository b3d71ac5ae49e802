#!/usr/bin/env python3
"""Unpacks a joined copy of PhysioNet's Challenge 2012 into the folder that `icu-mortality` reads.

JOINED holds, for each SET of a, b and c, Outcomes-SET.txt and set-SET.csv or set-SET.csv.xz: the records
of the set one after the other, with a column RecordID in front. OUT gets Outcomes-SET.txt and a file
set-SET/RECORD.txt for each record, as PhysioNet has them.

usage: tools/icu_records.py JOINED OUT
example: tools/icu_records.py joined data/icu-mortality
"""

import itertools
import lzma
import pathlib
import shutil
import sys

HEAD = "RecordID,Time,Parameter,Value"


def lines_of(joined, name):
    for path, opener in ((joined / name, open), (joined / f"{name}.xz", lzma.open)):
        if path.exists():
            with opener(path, "rt", encoding="utf-8", newline="") as lines:
                yield from (line.rstrip("\r\n") for line in lines)
            return
    sys.exit(f"icu_records: {joined}: {name} or {name}.xz expected, neither found")


def unpack(joined, out, name):
    folder = out / f"set-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = lines_of(joined, f"set-{name}.csv")
    head = next(lines, "")
    if head != HEAD:
        sys.exit(f"icu_records: set-{name}.csv: a first line {HEAD} expected, '{head}' found")
    for record, rows in itertools.groupby(lines, key=lambda line: line.partition(",")[0]):
        if not record.isdecimal():
            sys.exit(f"icu_records: set-{name}.csv: a number of a record at the start of each line expected, "
                     f"'{record}' found")
        body = "".join(row.partition(",")[2] + "\n" for row in rows)
        (folder / f"{record}.txt").write_text("Time,Parameter,Value\n" + body, encoding="utf-8")
    outcomes = joined / f"Outcomes-{name}.txt"
    if not outcomes.exists():
        sys.exit(f"icu_records: {joined}: {outcomes.name} expected, none found")
    shutil.copyfile(outcomes, out / outcomes.name)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    joined, out = map(pathlib.Path, sys.argv[1:])
    for name in ("a", "b", "c"):
        unpack(joined, out, name)


if __name__ == "__main__":
    main()
