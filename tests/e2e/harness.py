"""What all end-to-end cases share: the program, data, a recipe and one finished run of it."""

import atexit
import functools
import pathlib
import shutil
import subprocess
import sys
import tempfile
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
  - prune: {name: slots, granularity: slot_8x8, allocation: global, sparsity: 0.5, epochs: 5,
            batch_size: 50, learning_rate: 0.005, distillation: {stage: dense},
            schedule: {end_epoch: 1, every_steps: 5}}
  - compile: {name: pruned}
  - evaluate
  - bench: {repetitions: 20}
"""


def run(*arguments, stdin=None, timeout=300, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([ESPALIER, *map(str, arguments)], input=stdin, text=True,
                          timeout=timeout, check=False, **options)


def recipe_arguments(recipe, run_dir, data):
    return ["recipe", "run", str(recipe), "--run", str(run_dir), "--data", str(data),
            "--node-modules", str(MODULES)]


@functools.cache
def shared():
    """The folder of the test, with `data`, `recipe.yaml` and its finished `run`; and that run's process."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="espalier_e2e_"))
    atexit.register(shutil.rmtree, folder)
    digits.write(folder / "data")
    (folder / "recipe.yaml").write_text(RECIPE)
    flow = run(*recipe_arguments(folder / "recipe.yaml", folder / "run", folder / "data"), "--json")
    return folder, flow


class Case(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder, cls.flow = shared()
        cls.data = cls.folder / "data"
        cls.recipe = cls.folder / "recipe.yaml"
        cls.run_dir = cls.folder / "run"

    @classmethod
    def recipe_run(cls, run_dir, *more, **options):
        return run(*recipe_arguments(cls.recipe, run_dir, cls.data), *more, **options)

    def path(self, name):
        return self.folder / name

    def good(self, *arguments, **options):
        result = run(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def assert_one_sentence(self, result, parts, code=1):
        """`result` is of a command that failed with one sentence that has all of `parts`."""
        self.assertEqual(result.returncode, code, result.stderr)
        errors = [line for line in result.stderr.splitlines() if line.startswith("espalier: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        for part in parts:
            self.assertIn(part, errors[0])

    def bad(self, parts, *arguments, code=1, **options):
        """The command prints no result and fails with one sentence that has all of `parts`."""
        result = run(*arguments, **options)
        self.assert_one_sentence(result, parts, code)
        self.assertEqual(result.stdout, "")
        return result
