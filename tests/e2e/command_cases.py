"""Each command on its own."""

import json
import os

from harness import MODULES, Case, run


class Commands(Case):

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

    def test_compile_rounds_to_bf16(self):
        for weights, name in (("f32", "w32.esp"), ("bf16", "w16.esp")):
            self.good("compile", self.run_dir / "dense.onnx", "-o", self.path(name), "--weight-type",
                      weights, "--format", "dense" if weights == "f32" else "dense_bf16",
                      "--no-measure")
            self.good("run", self.path(name), "--check", stdin=" ".join(["0.5"] * 28))
        sizes = [self.path(name).stat().st_size for name in ("w32.esp", "w16.esp")]
        self.assertLess(sizes[1], 0.6 * sizes[0])
        self.assertIn("matvec_dense_bf16", self.good("inspect", self.path("w16.esp")).stdout)

    def test_calibrates_and_compiles_to_eight_bits(self):
        source = self.run_dir / "dense.onnx"
        data = ["--task", "mnist-rows", "--data", self.data]
        self.good("calibrate", source, *data, "--sequences", "8", "-o", self.path("x.json"))
        matrices = json.loads(self.path("x.json").read_text())["matrices"]
        self.assertEqual(sorted(matrices), ["gemm0.weight", "lstm0.weight_hh", "lstm0.weight_ih"])
        for found in matrices.values():
            self.assertLess(min(found["each_error"], found["fixed_error"]), 0.05)
            fixed = found["fixed_error"] < found["each_error"]
            self.assertEqual(found["x_scale"], found["fixed_scale"] if fixed else 0)
        compiled = self.path("w8.esp")
        self.good("compile", source, "-o", compiled, "--weight-type", "i8", "--calibration",
                  self.path("x.json"), "--no-measure")
        self.good("run", compiled, "--check", stdin=" ".join(["0.5"] * 28))
        self.assertIn("_i8", self.good("inspect", compiled).stdout)
        result = json.loads(self.good("eval", compiled, *data, "--against", source,
                                      "--json").stdout)
        self.assertGreater(result["against"]["agreement"], 0.9)
        self.bad(["--calibration: only with --weight-type i8"], "compile", source, "-o",
                 self.path("no.esp"), "--calibration", self.path("x.json"))
        again = self.path("again.esp")  # of the type that it is, its scales of x included
        self.good("compile", compiled, "-o", again, "--no-measure")
        facts = [json.loads(self.good("inspect", file, "--json").stdout)
                 for file in (compiled, again)]
        self.assertEqual(facts[0]["matrices"], facts[1]["matrices"])
        self.good("compile", compiled, "-o", again, "--no-measure", "--weight-type", "f32")
        self.assertNotIn("_i8", self.good("inspect", again).stdout)
        self.bad(["x.json", "matrices.gemm0.weight", "of others found"], "compile",
                 self.run_dir / "slots.onnx", "-o", self.path("no.esp"), "--weight-type", "i8",
                 "--calibration", self.path("x.json"))
        self.path("bad.json").write_text('{"matrices": {"gemm0.weight": {"x_scale": -1}}}')
        self.bad(["gemm0.weight.x_scale: 0, or 6.16298e-33 to 1e+30 expected, -1 found"], "compile", source, "-o",
                 self.path("no.esp"), "--weight-type", "i8", "--calibration", self.path("bad.json"))

    def test_bench_takes_its_numbers_from_the_problem_or_from_options(self):
        problem = self.path("problem.yaml")
        problem.write_text("{hidden: 8, peers: [], repetitions: 1}")
        for option in ("--steps", "--repetitions", "--threads", "--seed"):
            self.bad([option, "--problem"], "bench", "--problem", problem, option, "2",
                     code=2)

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

    def test_run_ends_a_sequence_once_it_is_sure(self):
        step = " ".join(["0.5"] * 28)
        two = "\n".join([step] * 28 + [""] + [step] * 5) + "\n"
        network = self.run_dir / "pruned.esp"
        stream = self.good("run", network, "--stream", stdin=two).stdout.splitlines()
        ended = self.good("run", network, "--exit-confidence", "0.01", "--exit-hold", "3", stdin=two)
        self.assertEqual(ended.stdout.splitlines(), [stream[2], stream[30]])
        self.assertIn("18.2 % of the steps were run; 2 of 2 sequences ended", ended.stderr)
        rows = [json.loads(line) for line in self.good(
            "run", network, "--exit-confidence", "1", "--json", stdin=two).stdout.splitlines()]
        self.assertEqual([(row["steps"], row["settled"]) for row in rows[:-1]],
                         [(28, False), (5, False)])
        self.assertEqual(rows[-1]["exit"],
                         {"steps": 33, "steps_run": 33, "sequences": 2, "ended_early": 0})
        self.bad(["--exit-hold", "--exit-confidence"], "run", network, "--exit-hold", "2", stdin=two)
        self.bad(["confidence", "2"], "run", network, "--exit-confidence", "2", stdin=two)

    def test_train_without_epochs_writes_the_network_as_it_begins(self):
        task = ("--task", "mnist-rows", "--data", self.data, "--model", "gru:8 last_step gemm:10")
        for name, seed in (("a.onnx", 1), ("b.onnx", 1), ("c.onnx", 2)):
            self.good("train", *task, "--epochs", "0", "--seed", seed, "-o", self.path(name))
        a, b, c = (self.path(name).read_bytes() for name in ("a.onnx", "b.onnx", "c.onnx"))
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)
        train = ("train", *task, "-o", self.path("d.onnx"))
        self.bad(["--clip-norm", "only with --epochs"], *train, "--epochs", "0", "--clip-norm", "1")
        self.bad(["at least 0 expected, -1"], *train, "--epochs", "-1")
        self.bad(["1 classes expected", "10 found"], "train", "--task", "mnist-rows", "--data", self.data,
                 "--model", "gru:8 last_step gemm:1", "--epochs", "0", "-o", self.path("d.onnx"))

    def test_bench_times_every_system(self):
        result = json.loads(self.good("bench", self.run_dir / "pruned.esp",
                                      self.run_dir / "dense.onnx", "--repetitions", "10", "--json",
                                      "--node-modules", MODULES).stdout)
        required = os.environ.get("ESPALIER_REQUIRE_ONNXRUNTIME") == "1"
        peer = required or (MODULES / "onnxruntime-node").exists()
        self.assertEqual(len(result["systems"]), 4 if peer else 2)
        for system in result["systems"]:
            self.assertGreater(system["us_per_sequence"]["median"], 0)
            self.assertGreater(system["us_per_step"]["median"], 0)
            times = system["step_times"]
            self.assertTrue(0 < times["p50"] <= times["p95"] <= times["p99"])

    def test_sensitivity_measures_what_an_allocation_spends(self):
        dense, scan, sparse = self.run_dir / "dense.onnx", self.path("scan.json"), self.path("s.onnx")
        measure = ["sensitivity", dense, "--task", "mnist-rows", "--data", self.data, "-o", scan]
        text = self.good(*measure, "--per", "gate", "--sparsities", "0.5", "0.9")
        self.assertIn("lstm0.weight_hh[f]", text.stdout)
        self.assertIn("17 of 17", text.stderr)
        curves = json.loads(scan.read_text())["curves"]
        self.assertEqual(len(curves), 8)
        for curve in curves:
            self.assertEqual([point[0] for point in curve["points"]], [0, 0.5, 0.9])
            self.assertEqual(curve["points"][0], curves[0]["points"][0])
        prune = ["prune", dense, "--allocation", "sensitivity", "--sensitivity", scan, "-o", sparse]
        found = json.loads(self.good(*prune, "--per", "gate", "--sparsity", "0.8", "--json").stdout)
        self.assertGreater(found["sparsity"]["lstm0.weight_hh"], 0.3)
        self.bad(["losses of lstm0.weight_hh expected"], *prune)
        self.bad(["--sensitivity", "only with --allocation sensitivity"], "prune", dense,
                 "--sensitivity", scan, "-o", sparse)
        self.assertEqual(len(json.loads(self.good(*measure, "--quick", "--json").stdout)["curves"]), 2)

    def test_thresholds_are_found_for_a_target(self):
        dense, delta, compiled = self.run_dir / "dense.onnx", self.path("d.onnx"), self.path("d.esp")
        task = ["--task", "mnist-rows", "--data", self.data]
        find = ["thresholds", dense, *task, "--timed-steps", "100"]
        found = json.loads(self.good(*find, "--sent", "0.4", "-o", delta, "--json").stdout)
        chosen = found["points"][found["chosen"]]
        self.assertLessEqual(chosen["sent"], 0.4)
        self.assertGreater(chosen["us_per_step"]["p99"], 0)
        self.assertIsInstance(found["is_faster"], bool)
        self.good("compile", delta, "-o", compiled, "--no-measure")
        activity = json.loads(self.good("eval", compiled, *task, "--json").stdout)["dynamic"][0]
        self.assertAlmostEqual(activity["delta_x"], chosen["layers"][0]["x"], places=6)
        self.assertIn("<- chosen", self.good(*find, "--loss", "0.5").stdout)
        self.bad(["one target", "none found"], *find)
        self.bad(["one target", "loss, sent found"], *find, "--loss", "0.1", "--sent", "0.1")
        self.bad(["loss: a share in [0, 1]", "-0.1"], *find, "--loss", "-0.1")
        self.bad(["sent: a share in [0, 1]", "nan"], *find, "--sent", "nan")
        self.bad(["multiply_adds", "at least 0."], *find, "--multiply-adds", "0.0001")
        early = self.bad(["cannot be written"], *find, "--loss", "0.5", "-o", self.path("none/d.onnx"))
        self.assertNotIn("factor", early.stderr)  # before the search

    def test_prune_takes_a_sparsity_for_each_gate(self):
        dense, sparse = self.run_dir / "dense.onnx", self.path("s.onnx")
        prune = ["prune", dense, "-o", sparse]
        found = json.loads(self.good(*prune, "--sparsity-of", "lstm0.weight_hh[f]=0.5",
                                     "lstm0.weight_ih=0.75", "--json").stdout)["sparsity"]
        self.assertAlmostEqual(found["lstm0.weight_hh"], 0.125, places=3)
        self.assertAlmostEqual(found["lstm0.weight_ih"], 0.75, places=3)
        self.bad(["PATTERN=SHARE", "lstm0.*"], *prune, "--sparsity-of", "lstm0.*")
        self.bad(["--sparsity", "beside --sparsity-of"], *prune, "--sparsity", "0.5", "--sparsity-of",
                 "lstm0.*=0.5")

    def test_prune_learns_what_to_do_without(self):
        dense, sparse = self.run_dir / "dense.onnx", self.path("l.onnx")
        tune = ("--task", "mnist-rows", "--data", self.data, "--batch-size", "50", "--epochs", "2",
                "--learning-rate", "0.01", "--schedule", "one_shot", "--ramp-begin", "1", "--ramp-end", "1")
        prune = ["prune", dense, "-o", sparse, "--allocation", "threshold", "--threshold", "0"]
        found = json.loads(self.good(*prune, *tune, "--regularizer", "proximal_group_lasso@element=1",
                                     "--json").stdout)["sparsity"]
        self.assertGreater(found["lstm0.weight_hh"], 0.1)
        self.bad(["NAME@GRANULARITY=STRENGTH", "'dropout'"], *prune, *tune, "--regularizer", "dropout")
        self.bad(["a rate in (0, 1)"], *prune, *tune, "--regularizer", "dropout=2")
        self.bad(["--regularizer: only with --epochs"], *prune, "--regularizer", "dropout=0.5")
        self.bad(["threshold", "under allocation uniform"], "prune", dense, "-o", sparse, "--threshold", "1")

    def test_compile_chooses_by_costs(self):
        costs, dense = self.path("costs.json"), self.run_dir / "dense.onnx"
        result = json.loads(self.good("tune", "--format", "csr", "--repetitions", "1", "--cpu",
                                      "mine", "-o", costs, "--json").stdout)
        self.assertEqual((result["cpu"], result["formats"]), ("mine", 2))
        files = [self.path("a.esp"), self.path("b.esp")]
        for file in files:
            self.good("compile", dense, "--costs", costs, "-o", file)
        self.assertEqual(files[0].read_bytes(), files[1].read_bytes())
        facts = json.loads(self.good("inspect", files[0], "--json").stdout)
        self.assertEqual(facts["metadata"]["costs"], "mine")
        text = self.good("inspect", files[0]).stdout
        self.assertIn("predicted", text)
        self.assertNotIn("measured", text)
        for matrix in facts["matrices"]:
            for candidate in matrix["candidates"]:
                self.assertIn("predicted_ns", candidate)  # null: not among the costs
                self.assertNotIn("measured_ns", candidate)

        table = json.loads(costs.read_text())
        for scale, format in ((1e-6, "csr"), (1e6, "dense")):  # of csr's times
            forged = json.loads(costs.read_text())
            for point in forged["formats"][1]["points"]:
                point[-1] *= scale
            costs.with_name("forged.json").write_text(json.dumps(forged))
            chosen = json.loads(self.good("compile", dense, "--costs",
                                          costs.with_name("forged.json"), "-o", files[0],
                                          "--json").stdout)
            self.assertEqual({matrix["format"] for matrix in chosen["matrices"]}, {format})

        costs.write_text(json.dumps(table | {"espalier_costs": 9}))
        self.bad(["costs.json", "version 1 expected, 9 found"], "compile", dense, "--costs",
                 costs, "-o", files[0])
        self.bad(["--costs", "--cold"], "compile", dense, "--costs", costs, "--cold", "-o",
                 files[0], code=2)

    def test_bench_plots_a_problem_and_its_rows(self):
        if not (MODULES / "vega").exists():
            self.skipTest("npm package vega is not installed")
        problem, rows = self.path("problem.yaml"), self.path("rows.json")
        page, again = self.path("times.html"), self.path("again.html")
        problem.write_text("{name: small, hidden: [8, 16], formats: csr, peers: [], repetitions: 2}")
        result = self.good("bench", "--problem", problem, "--plot", page, "--json",
                           "--node-modules", MODULES).stdout
        self.assertEqual(len(json.loads(result)), 4)
        rows.write_text(result)
        self.good("bench", "--rows", rows, "--plot", again, "--node-modules", MODULES)
        for html in (page.read_text(), again.read_text()):
            self.assertIn("4 measurements of one recurrent layer", html)
        self.bad(["another file"], "bench", "--rows", rows, "--plot", rows)
        self.bad(["--rows", "only with --plot"], "bench", "--rows", rows)
        rows.write_text("[]")
        self.bad(["rows.json", "at least 1 row"], "bench", "--rows", rows, "--plot", again,
                 "--node-modules", MODULES)

    def test_every_command_has_help_with_an_example(self):
        for command in ("train", "prune", "sensitivity", "compact", "thresholds", "compile", "tune", "eval", "run",
                        "bench", "export", "inspect", "report", "recipe"):
            text = self.good(command, "--help").stdout
            self.assertIn("example", text, command)
            inner = ("run", "check", "dry-run", "show") if command == "recipe" else ()
            for text in [self.good(command, name, "--help").stdout for name in inner] or [text]:
                for option in ("--json", "--quiet", "--seed", "example"):
                    self.assertIn(option, text, command)

    def test_the_recorded_command_repeats_the_run(self):
        record = json.loads((self.run_dir / "run.json").read_text())
        for part in ("recipe run", f"--run {self.run_dir}", f"--data {self.data}",
                     f"--node-modules {MODULES}", "--seed 3", "--threads 1"):
            self.assertIn(part, record["command"])

    def test_progress_lines_have_rate_and_eta(self):
        lines = [line for line in self.flow.stderr.splitlines() if " epoch " in line]
        self.assertEqual(len(lines), 4 + 1 + 5)
        for line in lines:
            self.assertRegex(line, r"valid accuracy [0-9.]+ %.* [0-9]+ seq/s  ETA ")

    def test_inspect_says_if_nothing_was_measured(self):
        plain = self.path("plain.esp")
        self.good("compile", self.run_dir / "slots.onnx", "-o", plain, "--no-measure")
        self.assertNotIn("measured", self.good("inspect", plain).stdout)
        matrices = json.loads(self.good("inspect", plain, "--json").stdout)["matrices"]
        self.assertEqual({c["measured_ns"] for m in matrices for c in m["candidates"]}, {None})
        self.assertIn("measured", self.good("inspect", self.run_dir / "pruned.esp").stdout)
