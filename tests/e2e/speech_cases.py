"""speech-keywords on tones that the test makes, and the tool that unpacks a packed copy of the data."""

import json
import lzma
import subprocess
import sys
import wave

import tones
from harness import SOURCE, Case, run

RECIPE = """
task: speech-keywords
model: [{gru: 24}, mean_over_time, {gemm: 10}]
stages:
  - train: {name: dense, epochs: 12, batch_size: 16, clip_norm: 1,
            learning_rate: {schedule: one_cycle, peak: 0.02}}
  - prune: {name: slots, granularity: slot_8x8, sparsity: 0.4, epochs: 5, batch_size: 16,
            learning_rate: 0.005, schedule: {name: cubic, end_epoch: 2, every_steps: 4}}
  - compile: {name: pruned}
  - evaluate: {exit: {confidence: 0.7, hold: 2, every: 5}}
  - bench: {repetitions: 5, onnxruntime: false}
"""

DELTA_RECIPE = """
task: speech-keywords
model: [{gru: 24}, mean_over_time, {gemm: 10}]
stages:
  - train: {epochs: 1, random_prefix: 0.5, dynamic: [{name: delta, x: 0.2, h: 0.1}]}
  - compile: {name: delta}
"""

UNITS_RECIPE = """
task: speech-keywords
model: [{gru: 24}, mean_over_time, {gemm: 10}]
stages:
  - train: {epochs: 1, dynamic: [{name: banks, size: 1, top: 8}]}
  - compile: {name: units}
  - evaluate
"""

BOTH_WAYS_RECIPE = """
task: speech-keywords
model: [{gru: {hidden: 8, direction: bidirectional}}, mean_over_time, {gemm: 10}]
stages:
  - train: {name: dense, epochs: 0}
  - train: {epochs: 0, dynamic: [{name: delta}]}
  - compile: {name: both}
"""


class Speech(Case):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tones = cls.folder / "tones"
        if not cls.tones.exists():
            tones.write(cls.tones)

    def speech_run(self, name):
        recipe = self.path("speech.yaml")
        recipe.write_text(RECIPE)
        return run("recipe", "run", recipe, "--run", self.path(name), "--data", self.tones, "--json")

    def test_runs_the_whole_flow(self):
        flow = self.speech_run("speech")
        self.assertEqual(flow.returncode, 0, flow.stderr)
        summary = json.loads(flow.stdout)
        self.assertGreater(summary["dense"]["metric"], 0.9)
        self.assertGreater(summary["pruned"]["metric"], 0.8)
        self.assertEqual(summary["agreement"], 1.0)
        task = json.loads((self.path("speech") / "run.json").read_text())["task"]
        self.assertEqual((task["train"], task["valid"], task["test"]), (160, 60, 60))
        self.assertEqual(task["classes"], list(tones.WORDS))

        self.assertIn("early exit: accuracy", flow.stderr)
        stages = json.loads((self.path("speech") / "run.json").read_text())["stages"]
        self.assertIn("exit", json.dumps([s for s in stages if s["kind"] == "evaluate"]))
        network = self.path("speech") / "pruned.esp"
        task = ("--task", "speech-keywords", "--data", self.tones)
        exit_flags = ("--exit-confidence", "0.7", "--exit-hold", "2", "--exit-every", "5")
        early = json.loads(self.good("eval", network, *task, *exit_flags, "--validation",
                                     "--json").stdout)
        self.assertEqual(early["split"], "validation")
        self.assertLess(early["steps"]["share"], 1.0)
        self.assertGreater(early["steps"]["ended_early"], 0)
        half = json.loads(self.good("eval", network, *task, "--exit-after", "0.5",
                                    "--json").stdout)
        self.assertAlmostEqual(half["steps"]["share"], 0.5, delta=0.02)
        for parts, flags in (
                (["--exit-hold: at least 1 expected, 0 found"],
                 ["--exit-confidence", "0.7", "--exit-hold", "0"]),
                (["--exit-confidence beside them expected"], ["--exit-hold", "2"]),
                (["confidence in (0, 1]", "1.5 found"], ["--exit-confidence", "1.5"]),
                (["--exit-after: a share in (0, 1] of the steps", "0 found"], ["--exit-after", "0"]),
                (["--exit-after", "more found"], [*exit_flags, "--exit-after", "0.5"]),
                (["--drop-steps: a share in [0, 1)", "1 found"], ["--drop-steps", "1"])):
            self.bad(parts, "eval", network, *task, *flags)
        uncompiled = json.loads(self.good("eval", self.path("speech") / "dense.onnx", *task, *exit_flags,
                                          "--json").stdout)
        self.assertLess(uncompiled["steps"]["share"], 1.0)
        self.bad(["a layer that has delta expected, none found"], "run", network, "--budget-us",
                 "50", stdin="0\n")

    def test_runs_within_a_budget(self):
        recipe = self.path("delta.yaml")
        recipe.write_text(DELTA_RECIPE)
        self.good("recipe", "run", recipe, "--run", self.path("delta"), "--data", self.tones)
        network = self.path("delta") / "delta.esp"
        steps = "\n".join([" ".join(["0.5"] * 32)] * 50) + "\n"
        plain = self.good("run", network, stdin=steps)
        hour = self.good("run", network, "--budget-us", "3.6e9", stdin=steps)
        self.assertEqual(hour.stdout, plain.stdout)
        self.assertIn("0 of 50 steps late", hour.stderr)
        self.assertIn("0 with raised thresholds", hour.stderr)
        self.bad(["--budget-us: 0.001 us a step cannot be kept", "a smaller network"], "run",
                 network, "--budget-us", "0.001", stdin=steps)
        for wrong in ("0", "-5", "nan"):
            self.bad(["--budget-us: a time above 0", f"{wrong} found"], "run", network,
                     "--budget-us", wrong, stdin=steps)
        self.run_and_eval_take_the_same_rules(network, steps)
        uncompiled = self.good("eval", self.path("delta") / "train.onnx", "--task", "speech-keywords", "--data",
                               self.tones, "--delta-x", "0.75", "--json")
        self.assertEqual(json.loads(uncompiled.stdout)["dynamic"][0]["delta_x"], 0.75)

    def test_banks_of_single_units_run_so_many_at_each_step(self):
        recipe = self.path("units.yaml")
        recipe.write_text(UNITS_RECIPE)
        self.good("recipe", "run", recipe, "--run", self.path("units"), "--data", self.tones)
        network = self.path("units") / "units.esp"
        task = ("--task", "speech-keywords", "--data", self.tones)
        layer = json.loads(self.good("eval", network, *task, "--json").stdout)["dynamic"][0]
        self.assertEqual(layer["units_run"] * 24, layer["units"] * 8)
        steps = "\n".join([" ".join(["0.5"] * 32)] * 20) + "\n"
        own = self.good("run", network, stdin=steps).stdout
        self.assertNotEqual(self.good("run", network, "--no-banks", stdin=steps).stdout, own)

    def test_run_takes_rules_of_a_network_of_whole_sequences(self):
        recipe = self.path("both.yaml")
        recipe.write_text(BOTH_WAYS_RECIPE)
        self.good("recipe", "run", recipe, "--run", self.path("both"), "--data", self.tones)
        network = self.path("both") / "both.esp"
        steps = "\n".join(" ".join([str(0.1 * t)] * 32) for t in range(20)) + "\n"
        own = self.good("run", network, stdin=steps).stdout
        self.assertEqual(self.good("run", network, "--delta-h", "0", stdin=steps).stdout, own)
        self.assertNotEqual(self.good("run", network, "--delta-x", "9", stdin=steps).stdout, own)
        self.bad(["--no-skip: a network with a layer that skips expected, none found"], "run", network,
                 "--no-skip", stdin=steps)

    # At a threshold that nothing reaches all steps but the first see what that sent.
    def run_and_eval_take_the_same_rules(self, network, steps):
        task = ("--task", "speech-keywords", "--data", self.tones)
        rising = "\n".join(" ".join([str(0.1 * t)] * 32) for t in range(50)) + "\n"
        own = self.good("run", network, stdin=rising).stdout
        self.assertNotEqual(self.good("run", network, "--delta-x", "1e9", stdin=rising).stdout, own)
        found = json.loads(self.good("eval", network, *task, "--delta-x", "0.75", "--json").stdout)
        self.assertEqual(found["dynamic"][0]["delta_x"], 0.75)
        for parts, flags in (
                (["--delta-x: a finite threshold of at least 0 expected, -1 found"], ("--delta-x", "-1")),
                (["--delta-h: a finite threshold of at least 0 expected, nan found"], ("--delta-h", "nan")),
                (["--no-skip: a network with a layer that skips expected, none found"], ("--no-skip",)),
                (["--no-banks: a network with a layer that has banks expected"], ("--no-banks",)),
                (["--idle: a network with a layer that has idle candidates"], ("--idle", "0.1")),
                (["--predicted: a network with a layer that has predicted rows"], ("--predicted", "0.1"))):
            self.bad(parts, "eval", network, *task, *flags)
            self.bad(parts, "run", network, *flags, stdin=steps)

    def test_a_changed_recording_trains_again(self):
        self.assertEqual(self.speech_run("speech_again").returncode, 0)
        network = self.path("speech_again") / "dense.onnx"
        before = network.stat().st_mtime_ns
        self.assertEqual(self.speech_run("speech_again").returncode, 0)
        self.assertEqual(network.stat().st_mtime_ns, before)
        recording = self.tones / "dataset" / "no" / "00000001_NO_0.wav"
        good = recording.read_bytes()
        recording.write_bytes(good[:-200] + bytes(200))
        try:
            self.assertEqual(self.speech_run("speech_again").returncode, 0)
        finally:
            recording.write_bytes(good)
        self.assertNotEqual(network.stat().st_mtime_ns, before)

    def test_names_what_is_missing_or_wrong(self):
        train = ("train", "--task", "speech-keywords", "--model", "gru:8 last_step gemm:10", "-o",
                 self.path("never.onnx"), "--data")
        self.bad(["train.csv", "arabic-speech-commands-dataset", "--data"], *train, self.path("nowhere"))
        recording = self.tones / "dataset" / "up" / "00000003_NO_1.wav"
        good = recording.read_bytes()
        try:
            recording.write_bytes(good[:-10])
            self.bad([str(recording), "samples", "bytes expected"], *train, self.tones)
            recording.write_bytes(good[:22] + b"\2" + good[23:])
            self.bad([str(recording), "channels: 1 expected, 2 found"], *train, self.tones)
        finally:
            recording.write_bytes(good)

    def test_the_recipes_are_good(self):
        for name in ("speech-keywords", "speech-keywords-delta", "speech-keywords-lstm",
                     "speech-keywords-quick", "speech-keywords-skip"):
            self.good("recipe", "check", SOURCE / "recipes" / f"{name}.yaml")

    def unpack(self, packed, out):
        return subprocess.run([sys.executable, SOURCE / "tools" / "speech_wavs.py", packed, out],
                              capture_output=True, text=True, check=False, timeout=30)

    def test_unpacks_a_packed_copy(self):
        packed, out = self.path("packed"), self.path("unpacked")
        packed.mkdir()
        # The code of the loudest sound below 0, of silence, and of two soft sounds.
        for split in ("train", "val", "test"):
            (packed / f"{split}.csv").write_text(f"row,source_file\n0,dataset/yes/{split}_1.wav\n")
            (packed / f"{split}.mulaw8k.xz").write_bytes(
                lzma.compress(b"\x00\xff\xfe\x7e" + b"\xff" * 7996))
        self.assertEqual(self.unpack(packed, out).returncode, 0)
        with wave.open(str(out / "dataset" / "yes" / "val_1.wav")) as wav:
            self.assertEqual(wav.getparams()[:4], (1, 2, 8000, 8000))
            samples = memoryview(wav.readframes(4)).cast("h").tolist()
        self.assertEqual(samples, [-32124, 0, 8, -8])
        self.assertEqual((out / "val.csv").read_text(), (packed / "val.csv").read_text())
        (packed / "val.mulaw8k.xz").write_bytes(lzma.compress(b"\x00" * 7999))
        result = self.unpack(packed, out)
        self.assertEqual(result.returncode, 1)
        self.assertIn("8000 samples expected for the 1 lines of val.csv, 7999 found", result.stderr)
