"""icu-mortality on stays that the test makes, and the tool that unpacks a joined copy of the data."""

import json
import lzma
import shutil
import subprocess
import sys

import stays
from harness import MODULES, SOURCE, Case, run

RECIPE = """
task: icu-mortality
model: [{gru: 24}, mean_over_time, {gemm: 2}]
stages:
  - train: {name: dense, epochs: 12, batch_size: 16, clip_norm: 1,
            learning_rate: {schedule: one_cycle, peak: 0.01}}
  - prune: {name: slots, granularity: slot_8x8, sparsity: 0.5, epochs: 4, batch_size: 16,
            learning_rate: 0.003, schedule: {name: cubic, end_epoch: 2, every_steps: 4}}
  - compile: {name: pruned}
  - evaluate
  - bench: {repetitions: 5, onnxruntime: false}
"""


class IcuMortality(Case):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stays = cls.folder / "stays"
        cls.icu_run = cls.folder / "icu_run"
        if cls.stays.exists():
            return
        stays.write(cls.stays)
        recipe = cls.folder / "icu.yaml"
        recipe.write_text(RECIPE)
        cls.icu_flow = run("recipe", "run", recipe, "--run", cls.icu_run, "--data", cls.stays,
                           "--node-modules", MODULES, "--json")

    def test_runs_the_whole_flow(self):
        self.assertEqual(self.icu_flow.returncode, 0, self.icu_flow.stderr)
        self.assertRegex(self.icu_flow.stderr, r"valid auroc 0\.[0-9]{4}  ")
        summary = json.loads(self.icu_flow.stdout)
        for model in ("dense", "pruned"):
            self.assertGreater(summary[model]["metric"], 0.9)
        self.assertEqual(summary["agreement"], 1.0)
        record = json.loads((self.icu_run / "run.json").read_text())
        self.assertEqual((record["task"]["metric"], record["task"]["classes"]), ("auroc", []))

    def test_the_summary_and_the_page_read_the_record(self):
        text = self.good("report", self.icu_run, "--summary").stdout
        self.assertRegex(text, r"auroc +[01]\.[0-9]{4} +[01]\.[0-9]{4} +[+-]?0\.[0-9]{4}\n")
        page = (self.icu_run / "report.html").read_text()
        self.assertIn("auroc", page)
        self.assertNotIn("Class by class", page)

    def test_names_what_is_missing_or_wrong(self):
        train = ("train", "--task", "icu-mortality", "--model", "gru:8 mean_over_time gemm:2", "-o", self.path("never.onnx"))
        self.bad(["Outcomes-a.txt", "PhysioNet", "--data"], *train, "--data", self.path("nowhere"))
        broken = self.path("broken")
        shutil.copytree(self.stays, broken)
        (broken / "set-b" / "1003.txt").write_text(stays.HEAD + "00:10,HR,fast\n")
        self.bad(["set-b/1003.txt", "line 2", "'00:10,HR,fast' found"], *train, "--data", broken)

    def test_the_tool_unpacks_a_joined_copy(self):
        joined, out = self.path("joined"), self.path("unpacked")
        joined.mkdir()
        for name in ("a", "b", "c"):
            rows = ["RecordID,Time,Parameter,Value\n"]
            for path in sorted((self.stays / f"set-{name}").iterdir()):
                lines = path.read_text().splitlines(keepends=True)[1:]
                rows += [f"{path.stem},{line}" for line in lines]
            text = "".join(rows)
            if name == "b":
                (joined / "set-b.csv").write_text(text)
            else:
                (joined / f"set-{name}.csv.xz").write_bytes(lzma.compress(text.encode()))
            shutil.copyfile(self.stays / f"Outcomes-{name}.txt", joined / f"Outcomes-{name}.txt")
        tool = [sys.executable, SOURCE / "tools" / "icu_records.py", joined, out]
        subprocess.run(tool, check=True)
        for path in self.stays.rglob("*.txt"):
            self.assertEqual((out / path.relative_to(self.stays)).read_text(), path.read_text())
        (joined / "set-b.csv").write_text("RecordID,Time,Parameter,Value\n../x,00:00,HR,1\n")
        failed = subprocess.run(tool, check=False, capture_output=True, text=True)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("'../x' found", failed.stderr)

    def test_the_recipes_are_good(self):
        for path in (SOURCE / "recipes").glob("icu-mortality*.yaml"):
            self.good("recipe", "check", path)
