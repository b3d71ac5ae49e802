"""lm-words on sentences that the test makes, and the tool that makes a text of Debian's packages."""

import json
import os
import subprocess
import sys

import text
from harness import SOURCE, Case, run

RECIPE = """
task: lm-words
model: [{embedding: 32}, {lstm: 32}, {dropout: 0.1}, tied_gemm]
stages:
  - train: {name: dense, epochs: 12, batch_size: 8, clip_norm: 1, patience: 8,
            learning_rate: {schedule: one_cycle, peak: 0.02}}
  - prune: {name: units, granularity: unit, sparsity: 0.25, epochs: 6, batch_size: 8, clip_norm: 1,
            learning_rate: 0.005, schedule: {name: cubic, end_epoch: 2, every_steps: 4}}
  - compact: {name: small}
  - compile: {name: pruned}
  - evaluate
  - bench: {repetitions: 5, onnxruntime: false}
"""


class Text(Case):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = cls.folder / "text"
        cls.text_run = cls.folder / "text_run"
        if cls.text.exists():
            return
        text.write(cls.text)
        recipe = cls.folder / "text.yaml"
        recipe.write_text(RECIPE)
        cls.text_flow = run("recipe", "run", recipe, "--run", cls.text_run, "--data", cls.text, "--json")

    def test_runs_the_whole_flow(self):
        self.assertEqual(self.text_flow.returncode, 0, self.text_flow.stderr)
        self.assertRegex(self.text_flow.stderr, r"valid perplexity [0-9.]+  ")
        summary = json.loads(self.text_flow.stdout)
        # Below the grammar's own it would have read what it is asked.
        for model in ("dense", "pruned"):
            self.assertGreater(summary[model]["metric"], 0.97 * text.PERPLEXITY)
            self.assertLess(summary[model]["metric"], 1.05 * text.PERPLEXITY)
        self.assertEqual(summary["agreement"], 1.0)
        self.assertLess(summary["pruned"]["params"], 0.8 * summary["dense"]["params"])
        task = json.loads((self.text_run / "run.json").read_text())["task"]
        self.assertEqual((task["metric"], task["classes"]), ("perplexity", []))

    def test_the_compiled_network_has_the_perplexity_of_libtorchs(self):
        result = self.good("eval", self.text_run / "pruned.esp", "--against", self.text_run / "small.onnx",
                           "--task", "lm-words", "--data", self.text, "--json")
        found = json.loads(result.stdout)
        self.assertAlmostEqual(found["perplexity"], found["against"]["perplexity"], delta=1e-4)
        self.assertEqual(found["against"]["not_ties"], 0)

    def test_names_what_is_missing_or_wrong(self):
        train = ("train", "--task", "lm-words", "--model", "embedding:8 lstm:8 tied_gemm", "-o",
                 self.path("never.onnx"), "--data")
        self.bad(["train.txt", "WikiText-2", "tools/king_james.py", "--data"], *train, self.path("nowhere"))
        valid = self.text / "valid.txt"
        good = valid.read_bytes()
        try:
            for content, part in ((b"", "an empty one found"), (b"a\nb\0\n", "line 2: a text in UTF-8 expected"),
                                  (b"\xff\n", "line 1: a text in UTF-8 expected")):
                valid.write_bytes(content)
                self.bad([str(valid), part], *train, self.text)
        finally:
            valid.write_bytes(good)
        last = ("train", "--task", "lm-words", "--model", "embedding:8 lstm:8 last_step tied_gemm", "-o",
                self.path("never.onnx"), "--data", self.text)
        self.bad(["a label for each sequence expected", "one at each step found"], *last)

    def test_the_recipes_are_good(self):
        for name in ("lm-words", "lm-words-iss", "lm-words-quick"):
            self.good("recipe", "check", SOURCE / "recipes" / f"{name}.yaml")

    def king_james(self, out, program):
        """Runs the tool where `program`, if any, is the only `bible`."""
        folder = self.path("programs")
        folder.mkdir(exist_ok=True)
        (folder / "bible").unlink(missing_ok=True)
        if program:
            (folder / "bible").write_text(program)
            (folder / "bible").chmod(0o755)
        return subprocess.run([sys.executable, SOURCE / "tools" / "king_james.py", out], capture_output=True,
                              text=True, check=False, timeout=60, env={**os.environ, "PATH": str(folder)})

    def test_makes_a_text_of_the_king_james_bible(self):
        out = self.path("verses")
        # As Debian's program prints: 31102 verses.
        result = self.king_james(out, f"#!{sys.executable}\nfor i in range(31102): print(f'Ge1:{{i}} Thus it was; {{i}}.')\n")
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = {split: (out / f"{split}.txt").read_text().splitlines() for split in ("train", "valid", "test")}
        self.assertEqual({split: len(verses) for split, verses in lines.items()},
                         {"train": 28002, "valid": 1550, "test": 1550})
        self.assertEqual(lines["train"][1], "thus it was ; 1 .")
        self.assertEqual(lines["valid"][0], "thus it was ; 4 5 0 .")

    def test_says_where_the_king_james_bible_is_from(self):
        result = self.king_james(self.path("never"), None)
        self.assertEqual(result.returncode, 1)
        self.assertIn("bible-kjv", result.stderr)
        result = self.king_james(self.path("never"), f"#!{sys.executable}\nprint('Ge1:1 In')\n")
        self.assertEqual(result.returncode, 1)
        self.assertIn("31102 verses expected of bible, 1 found", result.stderr)
