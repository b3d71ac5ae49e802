#!/usr/bin/env python3
"""What do slots, blocks and random masks cost in accuracy beside single weights, at equal density?

Trains one dense network for each seed, then trains it on for the same budget: dense; and cut by magnitude
at each granularity, with a cubic schedule over the first 60 %, the same share of each gate. Controls: a
random mask of single weights, and a dense network with as many weights, trained from scratch with the
whole budget. Printed: the validation split, and the test split, looked at once, when all is trained
(docs/measured/slots-and-blocks.md).

example: bench/granularities.py build/release/cli/espalier --work /tmp/granularities --jobs 2
"""

import argparse
import concurrent.futures

from lab import Lab, mean_and_spread

RATE = ["--lr-schedule", "one_cycle", "--clip-norm", "1"]


class Experiment:
    def __init__(self, options):
        self.options = options
        self.lab = Lab(options.espalier, options.work)
        self.task = ["--task", options.task] + (["--data", options.data] if options.data else [])
        self.train = [*self.task, "--batch-size", options.batch_size, "--learning-rate", options.rates[0], *RATE]
        self.tune = [*self.task, "--batch-size", options.batch_size, "--learning-rate", options.rates[1], *RATE,
                     "--warmup", 0.05]

    def stems(self, seed):
        yield "dense, trained on", f"on-{seed}"
        for granularity in self.options.granularities:
            yield f"`{granularity}`", f"{granularity}-{seed}"
        yield "`element`, at random", f"random-{seed}"
        yield "as small, dense", f"small-{seed}"

    def run(self, seed):
        first, rest = self.options.epochs
        self.lab.make(f"dense-{seed}", "train", "--model", self.options.model.format(units=self.options.units),
                      "--epochs", first, "--seed", seed, *self.train)

        def tuned(stem, sparsity, *how):
            self.lab.make(f"{stem}-{seed}", "prune", self.lab.path(f"dense-{seed}"), "--sparsity", sparsity,
                          "--epochs", rest, "--seed", seed, *how, *self.tune)

        cut = ["--per", "gate", "--schedule", "cubic", "--ramp-end", 0.6 * rest, "--every-steps",
               self.options.every]
        tuned("on", 0)
        for granularity in self.options.granularities:
            tuned(granularity, self.options.sparsity, "--granularity", granularity, *cut)
        tuned("random", self.options.sparsity, "--criterion", "random", *cut)
        self.lab.make(f"small-{seed}", "train", "--model", self.options.model.format(units=self.options.small),
                      "--epochs", first + rest, "--seed", seed, *self.train)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("espalier", help="the program")
    parser.add_argument("--work", required=True, help="folder for networks and results; kept")
    parser.add_argument("--task", default="mnist-rows")
    parser.add_argument("--data", help="folder of the task's data")
    parser.add_argument("--model", default="lstm:{units} last_step dropout:0.2 gemm:10")
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--small", type=int, default=32, help="units of a dense network with as many weights")
    parser.add_argument("--epochs", type=int, nargs=2, default=[5, 10], help="dense, and after it")
    parser.add_argument("--rates", type=float, nargs=2, default=[0.005, 0.005], help="dense, and after it")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--every", type=int, default=100, help="steps between two cuts")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--granularities", nargs="+",
                        default=["element", "slot_8x16", "slot_64x16", "blocked_16x1"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time")
    parser.add_argument("--without-test", action="store_true", help="leave the test split alone")
    experiment = Experiment(parser.parse_args())
    options, lab = experiment.options, experiment.lab
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(experiment.run, options.seeds))
    names = dict(experiment.stems(options.seeds[0]))
    print("| | validation | test |\n|---|---|---|")
    for row, name in enumerate(names):
        stems = [list(experiment.stems(seed))[row][1] for seed in options.seeds]
        valid = [100 * lab.make(stem)["valid_metric"] for stem in stems]
        test = [] if options.without_test else [
            100 * lab.espalier("eval", lab.path(stem), *experiment.task)["accuracy"] for stem in stems]
        print(f"| {name} | {mean_and_spread(valid, 2)} | {mean_and_spread(test, 2) if test else '-'} |")


if __name__ == "__main__":
    main()
