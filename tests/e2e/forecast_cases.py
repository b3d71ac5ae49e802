"""forecast on waves that the test makes."""

import json

import waves
from harness import MODULES, SOURCE, Case, run

TASK = f"forecast:6:window=24:variables={len(waves.VARIABLES)}"
RECIPE = f"""
task: {TASK}
model: [{{lstm: 32}}, last_step, {{gemm: {6 * len(waves.VARIABLES)}}}]
stages:
  - train: {{name: dense, epochs: 8, batch_size: 32, clip_norm: 1, patience: 8,
            learning_rate: {{schedule: one_cycle, peak: 0.01}}}}
  - prune: {{name: slots, granularity: slot_8x8, weights: ["lstm0.weight_hh"], sparsity: 0.5, epochs: 4,
            batch_size: 32, learning_rate: 0.003, distillation: {{stage: dense}},
            schedule: {{name: cubic, end_epoch: 2, every_steps: 8}}}}
  - compile: {{name: pruned}}
  - evaluate
  - bench: {{repetitions: 5, onnxruntime: false}}
"""
# What is noise in the last row of the window and in what follows it, of the standard deviation of all.
LEAST = waves.NOISE ** 2 / (1 + waves.NOISE ** 2)


class Forecast(Case):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.waves = cls.folder / "waves"
        cls.forecast_run = cls.folder / "forecast_run"
        if cls.waves.exists():
            return
        waves.write(cls.waves)
        recipe = cls.folder / "forecast.yaml"
        recipe.write_text(RECIPE)
        cls.forecast_flow = run("recipe", "run", recipe, "--run", cls.forecast_run, "--data", cls.waves,
                                "--node-modules", MODULES, "--json")

    def test_runs_the_whole_flow(self):
        self.assertEqual(self.forecast_flow.returncode, 0, self.forecast_flow.stderr)
        self.assertRegex(self.forecast_flow.stderr, r"valid mse [0-9.]+  ")
        self.assertIn("mean absolute error on the test split", self.forecast_flow.stderr)
        summary = json.loads(self.forecast_flow.stdout)
        for model in ("dense", "pruned"):
            self.assertGreater(summary[model]["metric"], 0.9 * LEAST)
            self.assertLess(summary[model]["metric"], 3 * LEAST)
        self.assertEqual(summary["agreement"], 1.0)
        record = json.loads((self.forecast_run / "run.json").read_text())
        self.assertEqual((record["task"]["name"], record["task"]["metric"], record["task"]["classes"]),
                         (TASK, "mse", []))
        self.assertEqual(record["models"]["pruned"]["confusion"], [])

    def test_the_summary_and_the_page_read_the_record(self):
        text = self.good("report", self.forecast_run, "--summary").stdout
        self.assertRegex(text, r"mse +0\.[0-9]{4} +0\.[0-9]{4} +[+-]?0\.[0-9]{4}\n")
        page = (self.forecast_run / "report.html").read_text()
        self.assertIn("make the same numbers, but for rounding, in 100.00 %", page)
        self.assertNotIn("Class by class", page)

    def test_the_compiled_network_makes_the_numbers_of_libtorchs(self):
        arguments = ("eval", self.forecast_run / "pruned.esp", "--against", self.forecast_run / "slots.onnx",
                     "--task", TASK, "--data", self.waves)
        found = json.loads(self.good(*arguments, "--json").stdout)
        self.assertAlmostEqual(found["mse"], found["against"]["mse"], delta=1e-5)
        self.assertAlmostEqual(found["mae"], found["against"]["mae"], delta=1e-5)
        self.assertLess(found["mae"] ** 2, found["mse"])
        self.assertEqual(found["against"]["differences"], 0)
        self.assertLess(found["against"]["largest_difference"], 1e-4)
        self.assertRegex(self.good(*arguments).stdout,
                         r"mse 0\.\d{4}, mae 0\.\d{4} on 315 test sequences\n(.*\n)?.*mse.*\n100.00 % of the outputs agree")

    def test_trains_and_scans_one_variable(self):
        network = self.path("heat.onnx")
        task = ("--task", "forecast:6:window=24:column=heat", "--data", self.waves)
        self.good("train", *task, "--model", "gru:8 last_step gemm:6", "--epochs", "1", "-o", network)
        scan = json.loads(self.good("sensitivity", network, *task, "--quick", "-o", self.path("heat.json"), "--json").stdout)
        self.assertIn("curves", scan)

    def test_names_what_is_missing_or_wrong(self):
        train = ("train", "--task", TASK, "--model", "lstm:8 last_step gemm:18", "-o", self.path("never.onnx"))
        self.bad(["a folder with a .csv file expected", "ETDataset", "xz -d", "--data"], *train, "--data", self.path("nowhere"))
        table = self.waves / "waves.csv"
        good = table.read_text()
        lines = good.splitlines(keepends=True)
        try:
            for line, part in (("day 0 hour 4,1,2\n", "line 6: 4 cells, as names in line 1, expected, 3 found"),
                               ("t,1,nan,3\n", "line 6, column 'heat': a finite number expected, 'nan' found"),
                               ("t,1,2,-\n", "line 6, column 'wind': a finite number expected, '-' found")):
                table.write_text("".join([*lines[:5], line, *lines[6:]]))
                self.bad([str(table), part], *train, "--data", self.waves)
            table.write_text("".join(lines[:40]))
            self.bad([str(table), "39 in all found"], *train, "--data", self.waves)
        finally:
            table.write_text(good)
        self.bad(["label_smoothing", "regression"], *train, "--data", self.waves, "--label-smoothing", "0.1")
        self.bad(["forecast[:HORIZON]", "'window=x' found"], "train", "--task", "forecast:6:window=x", *train[3:])

    def test_the_recipes_are_good(self):
        for name in ("forecast", "forecast-quick"):
            self.good("recipe", "check", SOURCE / "recipes" / f"{name}.yaml")
