"""A small stand-in for a table of measurements: waves of known noise, as a CSV file with a column of times."""

import math
import pathlib
import random

VARIABLES = ("load", "heat", "wind")
ROWS = 1600
NOISE = 0.2  # of the standard deviation of a wave


def write(folder, rows=ROWS, seed=1):
    """Writes waves.csv under `folder`, which is made: a sine a variable, each a quarter of a period later."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    lines = ["time," + ",".join(VARIABLES)]
    for row in range(rows):
        cells = [f"{10 * v + 3 * (math.sqrt(2) * math.sin(math.tau * (row / 24 + v / 4)) + rng.gauss(0, NOISE)):.4f}"
                 for v in range(len(VARIABLES))]
        lines.append(f"day {row // 24} hour {row % 24}," + ",".join(cells))
    (folder / "waves.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
