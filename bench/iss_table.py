#!/usr/bin/env python3
"""Hidden units of a word language model by group lasso (Wen et al. 2018, arXiv:1709.05027), with controls.

For each seed one dense network is trained, then trained on for the rest of the budget: dense; with the
proximal group lasso over hidden units until a share of each layer's units is cut; or with as many units
cut at random. What is left is compacted. Beside it a dense network of that size is trained from scratch
with the whole budget. Printed: perplexity on the validation split, and on the test split, looked at once,
when all is trained. What is done is kept in --work and not done again.

example: bench/iss_table.py build/release/cli/espalier --work /tmp/iss --data data/king-james --jobs 2
"""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys

TRAIN = ["--batch-size", 20, "--learning-rate", 0.004, "--lr-schedule", "one_cycle", "--warmup", 0.1,
         "--clip-norm", 1]
TUNE = ["--batch-size", 20, "--learning-rate", 0.002, "--lr-schedule", "one_cycle", "--warmup", 0.05,
        "--clip-norm", 1]


class Lab:
    def __init__(self, options):
        self.options = options
        self.work = pathlib.Path(options.work)
        self.work.mkdir(parents=True, exist_ok=True)

    def espalier(self, *arguments):
        command = [self.options.espalier, *map(str, arguments), "--json", "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def path(self, stem):
        return self.work / f"{stem}.onnx"

    def make(self, stem, *arguments, data=True):
        """The JSON of the command that writes <stem>.onnx."""
        result = self.work / f"{stem}.json"
        if not result.exists():
            task = ["--task", "lm-words", "--data", self.options.data] if data else []
            result.write_text(json.dumps(self.espalier(*arguments, "-o", self.path(stem), *task)))
        return json.loads(result.read_text())

    def model(self, units):
        embedding, lower, upper = units
        return (f"embedding:{embedding} dropout:0.2 lstm:{lower} dropout:0.2 lstm:{upper} dropout:0.2 "
                "tied_gemm")

    def left(self, units):
        share = self.options.sparsity
        return [n - int(share * n + 1e-6) for n in units]

    def run(self, seed):
        first, rest = self.options.epochs
        units = self.options.units
        tune = ["--epochs", rest, "--seed", seed, *TUNE]
        cut = ["--granularity", "unit", "--sparsity", self.options.sparsity, "--schedule", "one_shot",
               "--ramp-begin", rest / 2, "--ramp-end", rest / 2]
        self.make(f"dense-{seed}", "train", "--model", self.model(units), "--epochs", first, "--seed", seed,
                  *TRAIN)
        dense = self.path(f"dense-{seed}")
        self.make(f"on-{seed}", "prune", dense, "--sparsity", 0, *tune)
        self.make(f"iss-{seed}", "prune", dense, *cut, *tune, "--regularizer",
                  f"proximal_group_lasso={self.options.strength}", "--regularizer-warmup", rest / 6)
        self.make(f"random-{seed}", "prune", dense, *cut, *tune, "--criterion", "random")
        self.make(f"compact-{seed}", "compact", self.path(f"iss-{seed}"), data=False)
        self.make(f"small-{seed}", "train", "--model", self.model(self.left(units)), "--epochs",
                  first + rest, "--seed", seed, *TRAIN)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("espalier", help="the program")
    parser.add_argument("--work", required=True, help="folder for networks and results; kept")
    parser.add_argument("--data", required=True, help="folder of lm-words")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--units", type=int, nargs=3, default=[128, 256, 128],
                        help="features of the embedding, units of the two layers")
    parser.add_argument("--epochs", type=int, nargs=2, default=[4, 3], help="dense, and after it")
    parser.add_argument("--sparsity", type=float, default=0.55, help="share of each layer's units")
    parser.add_argument("--strength", type=float, default=0.5, help="of the group lasso")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    options = parser.parse_args()
    lab = Lab(options)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lab.run, options.seeds))
    def cell(values):
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return f"{statistics.mean(values):.1f} +- {spread:.1f}"

    print("| | validation | test |\n|---|---|---|")
    for name, stem in (("dense, trained on", "on"), ("units cut by group lasso", "iss"),
                       ("units cut at random", "random"), ("as small, trained from scratch", "small")):
        stems = [f"{stem}-{seed}" for seed in options.seeds]
        valid = [json.loads((lab.work / f"{each}.json").read_text())["valid_metric"] for each in stems]
        test = [lab.espalier("eval", lab.path(each.replace("iss", "compact")), "--task", "lm-words", "--data",
                             options.data)["metric"] for each in stems]
        print(f"| {name} | {cell(valid)} | {cell(test)} |")


if __name__ == "__main__":
    main()
