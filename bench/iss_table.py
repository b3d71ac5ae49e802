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

from lab import Lab, mean_and_spread

TRAIN = ["--batch-size", 20, "--learning-rate", 0.004, "--lr-schedule", "one_cycle", "--warmup", 0.1,
         "--clip-norm", 1]
TUNE = ["--batch-size", 20, "--learning-rate", 0.002, "--lr-schedule", "one_cycle", "--warmup", 0.05,
        "--clip-norm", 1]


class Experiment:
    def __init__(self, options):
        self.options = options
        self.lab = Lab(options.espalier, options.work)
        self.task = ["--task", "lm-words", "--data", options.data]

    def model(self, units):
        embedding, lower, upper = units
        return (f"embedding:{embedding} dropout:0.2 lstm:{lower} dropout:0.2 lstm:{upper} dropout:0.2 "
                "tied_gemm")

    def left(self):
        return [n - int(self.options.sparsity * n + 1e-6) for n in self.options.units]

    def run(self, seed):
        first, rest = self.options.epochs
        lab, units = self.lab, self.options.units

        def trained(stem, units, epochs):
            lab.make(f"{stem}-{seed}", "train", "--model", self.model(units), "--epochs", epochs, "--seed", seed,
                     *self.task, *TRAIN)

        def tuned(stem, *how):
            lab.make(f"{stem}-{seed}", "prune", lab.path(f"dense-{seed}"), "--epochs", rest, "--seed", seed, *how,
                     *self.task, *TUNE)

        cut = ["--granularity", "unit", "--sparsity", self.options.sparsity, "--schedule", "one_shot",
               "--ramp-begin", rest / 2, "--ramp-end", rest / 2]
        trained("dense", units, first)
        tuned("on", "--sparsity", 0)
        tuned("iss", *cut, "--regularizer", f"proximal_group_lasso={self.options.strength}",
              "--regularizer-warmup", rest / 6)
        tuned("random", *cut, "--criterion", "random")
        trained("small", self.left(), first + rest)
        for stem in ("iss", "random"):
            lab.make(f"{stem}-compact-{seed}", "compact", lab.path(f"{stem}-{seed}"))


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
    parser.add_argument("--sparsity", type=float, default=0.5, help="share of each layer's units")
    parser.add_argument("--strength", type=float, default=0.5, help="of the group lasso")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    parser.add_argument("--without-test", action="store_true", help="leave the test split alone")
    options = parser.parse_args()
    experiment = Experiment(options)
    lab = experiment.lab
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(experiment.run, options.seeds))
    print("| | validation | test |\n|---|---|---|")
    for name, stem, file in (("dense, trained on", "on", "on"),
                             ("units cut by group lasso", "iss", "iss-compact"),
                             ("units cut at random", "random", "random-compact"),
                             ("as small, trained from scratch", "small", "small")):
        valid = [lab.make(f"{stem}-{seed}")["valid_metric"] for seed in options.seeds]
        test = [] if options.without_test else [
            lab.espalier("eval", lab.path(f"{file}-{seed}"), *experiment.task)["perplexity"]
            for seed in options.seeds]
        print(f"| {name} | {mean_and_spread(valid, 1)} | {mean_and_spread(test, 1) if test else '-'} |")


if __name__ == "__main__":
    main()
