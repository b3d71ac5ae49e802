#!/usr/bin/env python3
"""Hidden units of a word language model that go for good (Wen et al. 2018, arXiv:1709.05027), with controls.

For each seed one dense network is trained. It is then trained on for the same number of epochs: as it is;
or with a share of each layer's units gone and the rest compacted, so that its epochs are cheaper. Which
ones go: those that a regularizer over hidden units has made the smallest, in the first of these epochs
(proximal group lasso, and gates, Louizos et al. 2018, arXiv:1712.01312); the smallest as they are; or any.
In these epochs all of them learn from the dense network, too (--teacher-weight). Beside them two dense
networks of that size are trained from scratch with the whole budget, one of them with the same teacher.
Printed: perplexity on the validation split, and on the test split, looked at once, when all is trained
(docs/measured/units.md).
What is done is kept in --work and not done again.

example: bench/iss_table.py build/release/cli/espalier --work /tmp/iss --data data/king-james --jobs 2
"""

import argparse
import concurrent.futures

from lab import Lab, mean_and_spread

RATE = ["--lr-schedule", "one_cycle", "--clip-norm", 1]
TRAIN = [*RATE, "--learning-rate", 0.004, "--warmup", 0.1]
TUNE = [*RATE, "--learning-rate", 0.002, "--warmup", 0.05]

ROWS = {"on": "dense, trained on", "lasso": "units by group lasso", "gates": "units by learned gates",
        "smallest": "smallest units, at once", "random": "random units, at once",
        "small": "as small, from scratch", "small-taught": "as small, from scratch, with the teacher"}


class Experiment:
    def __init__(self, options):
        self.options = options
        self.lab = Lab(options.espalier, options.work)
        self.task = ["--task", "lm-words", "--data", options.data]
        self.batch = ["--batch-size", options.batch_size]

    def model(self, units, dropout):
        embedding, lower, upper = units
        dropout = f"dropout:{dropout}"
        return f"embedding:{embedding} {dropout} lstm:{lower} {dropout} lstm:{upper} {dropout} tied_gemm"

    def left(self):
        return [n - int(self.options.sparsity * n + 1e-6) for n in self.options.units]

    def run(self, work):
        row, seed = work
        first, cut, rest = self.options.epochs
        lab, path = self.lab, self.lab.path
        teacher = ["--teacher", path(f"dense-{seed}"), "--teacher-weight", self.options.teacher_weight]
        if self.options.teacher_weight == 0:
            teacher = []
        after = ["--dropout", self.options.dropout_after]  # of what is smaller than the dense network
        if row in ("dense", "small"):
            units, epochs, dropout = (self.options.units, first, self.options.dropout) if row == "dense" else (
                self.left(), first + cut + rest, self.options.dropout_after)
            lab.make(f"{row}-{seed}", "train", "--model", self.model(units, dropout), "--epochs", epochs,
                     "--seed", seed, *self.task, *self.batch, *TRAIN)
            return

        def on(start, epochs, rates=TUNE):
            lab.make(f"{row}-{seed}", "prune", path(start), "--sparsity", 0, "--epochs", epochs, "--seed", seed,
                     *self.task, *self.batch, *rates, *teacher, *([] if row == "on" else after))

        if row == "small-taught":
            lab.make(f"{row}-start-{seed}", "train", "--model",
                     self.model(self.left(), self.options.dropout_after), "--epochs", 1, "--seed", seed,
                     *self.task, *self.batch, *RATE, "--learning-rate", 0.001)
            on(f"{row}-start-{seed}", first + cut + rest - 1, TRAIN)
            return

        if row == "on":
            on(f"dense-{seed}", cut + rest)
            return
        how = ["--granularity", "unit", "--sparsity", self.options.sparsity]
        learned = {"lasso": ["--regularizer", f"proximal_group_lasso={self.options.lasso}"],
                   "gates": ["--regularizer", f"hard_concrete={self.options.gates}", "--regularizer-speed", 30]}
        if row in learned:
            how += ["--schedule", "one_shot", "--ramp-begin", cut, "--ramp-end", cut, "--epochs", cut,
                    "--seed", seed, "--regularizer-warmup", cut / 6, *learned[row], *self.task, *self.batch, *TUNE,
                    *teacher]
        elif row == "random":
            how += ["--criterion", "random", "--seed", seed]
        lab.make(f"{row}-cut-{seed}", "prune", path(f"dense-{seed}"), *how)
        lab.make(f"{row}-compact-{seed}", "compact", path(f"{row}-cut-{seed}"))
        on(f"{row}-compact-{seed}", rest if row in learned else cut + rest)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("espalier", help="the program")
    parser.add_argument("--work", required=True, help="folder for networks and results; kept")
    parser.add_argument("--data", required=True, help="folder of lm-words")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--units", type=int, nargs=3, default=[256, 256, 256],
                        help="features of the embedding, units of the two layers")
    parser.add_argument("--dropout", type=float, default=0.5, help="of the dense network, trained on too")
    parser.add_argument("--dropout-after", type=float, default=0.25, help="of networks with fewer units")
    parser.add_argument("--batch-size", type=int, default=5)
    parser.add_argument("--epochs", type=int, nargs=3, default=[20, 4, 12],
                        help="dense; then with a regularizer; then of what is left")
    parser.add_argument("--sparsity", type=float, default=0.5, help="share of each layer's units")
    parser.add_argument("--lasso", type=float, default=4, help="strength of the group lasso")
    parser.add_argument("--gates", type=float, default=0.001, help="strength of the gates' penalty")
    parser.add_argument("--teacher-weight", type=float, default=0.7,
                        help="share of the dense network's loss after it is trained; 0: no teacher")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--without-test", action="store_true", help="leave the test split alone")
    options = parser.parse_args()
    experiment = Experiment(options)
    lab = experiment.lab
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for rows in (["dense"], options.rows):
            list(pool.map(experiment.run, [(row, seed) for row in rows for seed in options.seeds]))
    print("| | validation | test |\n|---|---|---|")
    for row in options.rows:
        valid = [lab.make(f"{row}-{seed}")["valid_metric"] for seed in options.seeds]
        test = [] if options.without_test else [
            lab.espalier("eval", lab.path(f"{row}-{seed}"), *experiment.task)["perplexity"]
            for seed in options.seeds]
        print(f"| {ROWS[row]} | {mean_and_spread(valid, 1)} | {mean_and_spread(test, 1) if test else '-'} |")


if __name__ == "__main__":
    main()
