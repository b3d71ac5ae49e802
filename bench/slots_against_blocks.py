#!/usr/bin/env python3
"""How dense must blocks be to reach the accuracy of slots, and what does that cost in time?

Trains one dense LSTM for each seed, prunes it in slots and in blocks of several densities with the
same budget of fine-tuning, and prints for each the validation and test accuracy (mean and spread
over the seeds), the bytes, and the time of a streamed step beside that of the slots, timed
interleaved. The density of the blocks to compare is chosen by the validation split
(docs/measured/slots-and-blocks.md).

example: bench/slots_against_blocks.py build/release/cli/espalier --work /tmp/slots --seeds 1 2 3
"""

import argparse
import json
import statistics
import sys

from lab import Lab

TILES = ("blocked_16x1", "blocked_8x4")
TRAIN = ["--learning-rate", "0.005", "--lr-schedule", "one_cycle", "--clip-norm", "1"]


class Experiment:
    def __init__(self, options):
        self.options = options
        self.lab = Lab(options.espalier, options.work)
        self.task = ["--task", options.task] + (["--data", options.data] if options.data else [])

    def pruned(self, granularity, density, seed):
        """The network, compiled in its own format, and its validation accuracy."""
        lab, train = self.lab, [*self.task, "--seed", seed, "--epochs", self.options.epochs, *TRAIN]
        lab.make(f"dense-{seed}", "train", "--model", self.options.model, *train)
        stem = f"{granularity}-{density}-{seed}"
        compiled = lab.work / f"{stem}.esp"
        found = lab.make(stem, "prune", lab.path(f"dense-{seed}"), "--granularity", granularity, "--sparsity",
                         round(1 - density, 6), *train, "--warmup", "0.05")
        if not compiled.exists():
            lab.espalier("compile", lab.path(stem), "-o", compiled, "--format", granularity,
                         "--batched-rows", "1")
        return compiled, found["valid_metric"]

    def test_metric(self, path):
        return self.lab.espalier("eval", path, *self.task)["accuracy"]

    def times(self, paths):
        found = self.lab.espalier("bench", *paths, "--without-onnxruntime")
        return [system["us_per_step"]["median"] for system in found["systems"]]


def spread(values):
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("espalier", help="the program")
    parser.add_argument("--work", required=True, help="folder for networks and results; kept")
    parser.add_argument("--task", default="mnist-rows")
    parser.add_argument("--data", help="folder of the task's data")
    parser.add_argument("--model", default="lstm:128 last_step dropout:0.2 gemm:10")
    parser.add_argument("--epochs", type=int, default=6, help="of the training and of each fine-tuning")
    parser.add_argument("--slots", default="slot_64x16")
    parser.add_argument("--slot-density", type=float, default=0.1)
    parser.add_argument("--densities", type=float, nargs="+", default=[0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5],
                        help="of the blocks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    experiment = Experiment(parser.parse_args())
    options = experiment.options
    rows = []
    blocks = [(tile, density) for tile in TILES for density in options.densities]
    slots = (options.slots, options.slot_density)
    for granularity, density in [slots, *blocks]:
        made = [experiment.pruned(granularity, density, seed) for seed in options.seeds]
        valid, valid_spread = spread([metric for _, metric in made])
        rows.append({"granularity": granularity, "density": density, "valid": valid,
                     "valid_spread": valid_spread, "files": [path for path, _ in made]})
        print(f"{granularity} at {density:.0%}: valid {valid:.2%} +- {valid_spread:.2%}", file=sys.stderr)
    slots = rows[0]
    chosen = [slots]
    for tile in TILES:
        good = [row for row in rows if row["granularity"] == tile and row["valid"] >= slots["valid"]]
        if good:
            chosen.append(min(good, key=lambda row: row["density"]))
    for row in chosen:
        row["test"], row["test_spread"] = spread([experiment.test_metric(path) for path in row["files"]])
    for i in range(len(options.seeds)):
        times = experiment.times([row["files"][i] for row in chosen])
        for row, time in zip(chosen, times):
            row.setdefault("us_per_step", []).append(time)
            row.setdefault("times_slots", []).append(time / times[0])
    for row in rows:
        del row["files"]
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
