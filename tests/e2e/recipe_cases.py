"""Whole recipes: what they make, reuse, resume, keep and refuse."""

import json
import resource
import shutil
import signal
import subprocess
import time

from harness import ESPALIER, MODULES, RECIPE, SOURCE, Case, recipe_arguments, run


class Recipe(Case):

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

    def test_runs_every_role(self):
        roles = sorted((SOURCE / "recipes" / "roles").glob("*.yaml"))
        self.assertGreaterEqual(len(roles), 8)
        for role in roles:
            with self.subTest(role.stem):
                found = json.loads(self.good(*recipe_arguments(role, self.path(role.stem), self.data), "--json",
                                             "--epochs-scale", "0.15", "--without-onnxruntime").stdout)
                self.assertGreater(found["weights_removed"], 0.6)
                # Where a threshold decides, rounding may decide otherwise.
                self.assertGreaterEqual(found["agreement"], 0.99 if role.stem == "dss" else 1.0)
                checked = self.good("recipe", "check", role, "--task", "speech-keywords").stdout
                self.assertIn("good", checked)

    def test_roles_cut_what_they_stand_for(self):
        def prune_stages(role):
            checked = self.good("recipe", "check", SOURCE / "recipes" / "roles" / f"{role}.yaml", "--json")
            return {stage["stage"]: stage for stage in json.loads(checked.stdout)["plan"]
                    if stage["kind"] == "prune"}
        self.assertEqual(sorted(prune_stages("pot")["global"]["pools"]),
                         ["gemm0.weight", "lstm0.weight_hh", "lstm0.weight_ih"])
        learned = prune_stages("structdrop")["learned"]
        self.assertEqual((learned["granularity"], learned["allocation"]), ("unit", "threshold"))
        self.assertEqual([each["name"] for each in learned["parameters"]["regularizers"]], ["hard_concrete"])
        budget = prune_stages("dyntrim")["budget"]["parameters"]["search"]
        self.assertEqual(sorted(budget), ["against", "bytes", "sparsities", "time", "within"])

    def test_overrides_are_part_of_the_run(self):
        shown = json.loads(self.good("recipe", "show", self.recipe, "--epochs-scale", "0.5", "--task",
                                     "speech-keywords").stdout)
        self.assertEqual(shown["task"], "speech-keywords")
        self.assertEqual([stage["train"]["epochs"] for stage in shown["stages"] if "train" in stage], [2])
        for more, expected in ((("--epochs-scale", "0"), "epochs scale: a number above 0"),
                               (("--task", "mnist"), "mnist-rows")):
            self.bad([expected], "recipe", "check", self.recipe, *more)

    def test_reuses_what_is_there(self):
        before = (self.run_dir / "dense.onnx").stat().st_mtime_ns
        start = time.monotonic()
        again = self.recipe_run(self.run_dir, "--json")
        self.assertLess(time.monotonic() - start, 10)
        self.assertEqual(json.loads(again.stdout), json.loads(self.flow.stdout))
        self.assertEqual((self.run_dir / "dense.onnx").stat().st_mtime_ns, before)

    def stop(self, run_dir, signal_number):
        """Starts the recipe, sends the signal once an epoch has ended, and returns code and errors."""
        with subprocess.Popen([ESPALIER, *recipe_arguments(self.recipe, run_dir, self.data)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as process:
            for line in process.stderr:
                if " epoch " in line:
                    break
            process.send_signal(signal_number)
            errors = process.stderr.read()
            return process.wait(60), errors

    def test_goes_on_after_an_interruption_with_the_same_bits(self):
        for name, signals in (("interrupted", (signal.SIGINT, signal.SIGTERM)),
                              ("killed", (signal.SIGKILL, signal.SIGKILL))):
            run_dir = self.path(name)
            for signal_number in signals:
                code, errors = self.stop(run_dir, signal_number)
                self.assertEqual(code, 130 if name == "interrupted" else -signal.SIGKILL, errors)
                self.assertEqual("interrupted" in errors, name == "interrupted")
            result = self.recipe_run(run_dir)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assert_same_results(run_dir)

    def assert_same_results(self, run_dir):
        for name in ("dense.onnx", "slots.onnx"):
            self.assertEqual((run_dir / name).read_bytes(), (self.run_dir / name).read_bytes(), name)
        stages, expected = (json.loads((folder / "run.json").read_text())["stages"]
                            for folder in (run_dir, self.run_dir))
        for stage, other in zip(stages, expected, strict=True):
            for epoch in stage["epochs"] + other["epochs"]:
                del epoch["seconds"]
            self.assertEqual(stage["epochs"], other["epochs"], stage["name"])

    def test_two_at_once_in_one_folder_are_refused(self):
        run_dir = self.path("twice")
        with subprocess.Popen([ESPALIER, *recipe_arguments(self.recipe, run_dir, self.data)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as process:
            process.stderr.readline()  # its first stage has begun
            self.assert_one_sentence(self.recipe_run(run_dir), [str(run_dir), str(process.pid)])
            process.kill()

    def test_a_full_disk_keeps_earlier_results(self):
        run_dir = self.path("full")
        shutil.copytree(self.run_dir, run_dir)
        before = {file.name: file.read_bytes() for file in run_dir.iterdir()}
        longer = self.path("longer.yaml")
        longer.write_text(RECIPE.replace("epochs: 4", "epochs: 5"))
        for recipe, more in ((self.recipe, ["--fresh"]), (longer, [])):
            result = run(*recipe_arguments(recipe, run_dir, self.data), *more,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (999, 999)))
            self.assert_one_sentence(result, [str(run_dir), "File too large"])
            after = {file.name: file.read_bytes() for file in run_dir.iterdir()}
            self.assertEqual(sorted(after), sorted(before))
            for name in before.keys() - {".lock"}:
                self.assertEqual(after[name], before[name], name)

    def test_the_quickstart_s_recipe_is_good(self):
        checked = self.good("recipe", "check", SOURCE / "recipes" / "quickstart.yaml", "--json")
        self.assertEqual(json.loads(checked.stdout)["stages"], 7)
        dry = self.good("recipe", "dry-run", SOURCE / "recipes" / "quickstart.yaml", "--json")
        self.assertEqual(dry.stdout, checked.stdout)
        self.assertEqual([stage["kind"] for stage in json.loads(dry.stdout)["plan"]],
                         ["train", "prune", "compact", "prune", "compile", "evaluate", "bench"])

    def test_quickstart_refuses_what_it_does_not_know(self):
        def quickstart(*arguments):
            return subprocess.run([SOURCE / "quickstart", *arguments], capture_output=True,
                                  text=True, check=False, timeout=10)
        self.assertIn("example: ", quickstart("--help").stdout)
        for arguments in (["--colour"], ["--seed"], ["--seed", "x"], ["--seed", "-1"]):
            result = quickstart(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)

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
                (RECIPE.replace("gemm: 10", "gemm: 9"), ["model", "9 classes expected"]),
                (RECIPE.replace("slot_8x8", "slot_7x3"), ["stages[3].prune", "slot_7x3"]),
        ):
            broken = self.path("broken.yaml")
            broken.write_text(text)
            self.bad(parts, "recipe", "run", broken, "--run", self.path("never"), "--data",
                     self.data)
