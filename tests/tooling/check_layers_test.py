"""Tests tools/check_layers.py: a small tree that passes, and one fault at a time put into it."""

import os
import subprocess
import sys
import tempfile
import unittest

CHECKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/check_layers.py")

TABLE_HEAD = """# Architecture
<!-- rooms: read by tools/check_layers.py -->
| room | layer | may include | third-party | what |
|---|---|---|---|---|
"""
ROWS = """| base | 0 | - | - | basics |
| kernels | 2 | base | Highway | compute |
| prune | 4 | base | - | methods |
| cli | 8 | base, prune | CLI11 | program |
"""
GOOD = {
    "docs/architecture.md": TABLE_HEAD + ROWS,
    "CMakeLists.txt": "espalier_room(base)\nespalier_room(kernels DEPS base LIBS hwy::hwy)\n"
                      "espalier_room(prune DEPS base)\n",
    "src/base/status.h": "#ifndef ESPALIER_BASE_STATUS_H_\n#define ESPALIER_BASE_STATUS_H_\n"
                         "#include <string>\n#endif\n",
    "src/kernels/dot.cc": '#include "base/status.h"\n#include "hwy/highway.h"\nvoid Dot() {}\n',
    "src/kernels/dot-inl.h": "#if defined(ESPALIER_KERNELS_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)\n"
                             "#endif\n",
    "src/prune/plan.cc": '#include "base/status.h"\n// throw, printf(: only words\n',
    "src/prune/plan_test.cc": '#include <gtest/gtest.h>\n#include "testing/testing.h"\n'
                              "void Print() { printf(0); }\n",
    "cli/main.cc": '#include <iostream>\n#include <CLI/CLI.hpp>\n#include "prune/plan.h"\n',
    "README.md": "See [the page](docs/architecture.md) and `src/prune/plan.cc`.\n",
}


def check(changes):
    """Exit code and printed lines for GOOD with these files replaced or added."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**GOOD, **changes}.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        run = subprocess.run([sys.executable, CHECKER, "--root", root], stdout=subprocess.PIPE, check=False)
    return run.returncode, run.stdout.decode().splitlines()


class CheckLayers(unittest.TestCase):
    def expect_fault(self, changes, start, *parts):
        code, lines = check(changes)
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), 2, f"one fault expected: {lines}")
        self.assertTrue(lines[0].startswith(start), lines[0])
        for part in parts:
            self.assertIn(part, lines[0])

    def test_passes_a_tree_that_keeps_the_rules(self):
        self.assertEqual(check({}), (0, [f"check_layers: {len(GOOD)} files, 0 faults"]))

    def test_refuses_an_include_of_a_higher_room(self):
        self.expect_fault({"src/kernels/dot.cc": '\n#include "prune/plan.h"\n'},
                          "src/kernels/dot.cc:2: layer: ", "'prune/plan.h'", "base allowed")

    def test_refuses_an_include_of_a_higher_room_in_a_test(self):
        self.expect_fault({"src/base/status_test.cc": '#include "prune/plan.h"\n'},
                          "src/base/status_test.cc:1: layer: ")

    def test_refuses_test_helpers_outside_tests(self):
        self.expect_fault({"src/prune/plan.cc": '#include "testing/testing.h"\n'},
                          "src/prune/plan.cc:1: layer: ")

    def test_refuses_an_include_without_its_room(self):
        self.expect_fault({"src/prune/plan.cc": '#include "plan.h"\n'},
                          "src/prune/plan.cc:1: layer: ", "'prune/plan.h'")

    def test_ignores_an_include_in_a_comment(self):
        self.assertEqual(check({"src/base/a.cc": '/*\n#include "prune/plan.h"\n*/\n'})[0], 0)

    def test_refuses_a_third_party_of_another_room(self):
        self.expect_fault({"src/prune/plan.cc": "#include <torch/torch.h>\n"},
                          "src/prune/plan.cc:1: third-party: ", "libtorch", "nothing allowed")

    def test_refuses_a_third_party_that_nobody_may_use(self):
        self.expect_fault({"src/prune/plan.cc": "#include <boost/any.hpp>\n"},
                          "src/prune/plan.cc:1: third-party: ", "<boost/any.hpp>")

    def test_refuses_printing_below_the_command_line(self):
        self.expect_fault({"src/prune/plan.cc": 'void F() {\n  printf("x");\n}\n'},
                          "src/prune/plan.cc:2: words: ", "prints")

    def test_refuses_ending_the_process_below_the_command_line(self):
        self.expect_fault({"src/prune/plan.cc": "void F() { std::exit(1); }\n"},
                          "src/prune/plan.cc:1: words: ", "ends the process")

    def test_refuses_throw_in_the_runtime_product(self):
        self.expect_fault({"src/base/a.cc": "void F() { throw 1; }\n"}, "src/base/a.cc:1: words: ", "throw")

    def test_allows_throw_above_the_runtime_product(self):
        self.assertEqual(check({"src/prune/a.cc": "void F() { throw 1; }\n"})[0], 0)

    def test_ignores_words_in_texts(self):
        self.assertEqual(check({"src/base/a.cc": 'const char* a = "throw \\" exit(";\n'})[0], 0)

    def test_refuses_another_guard(self):
        self.expect_fault({"src/base/b.h": "#ifndef ESPALIER_B_H_\n#endif\n"},
                          "src/base/b.h:1: guard: ", "ESPALIER_BASE_B_H_")

    def test_refuses_two_types_of_one_name(self):
        def header(guard, code):
            return f"#ifndef {guard}\n#define {guard}\n{code}\n#endif\n"
        self.expect_fault({"src/kernels/a.h": header("ESPALIER_KERNELS_A_H_", "struct Plan {\n};"),
                           "src/prune/b.h": header("ESPALIER_PRUNE_B_H_", "class Plan;\nenum class Plan : int { k };")},
                          "src/prune/b.h:4: type: ", "'Plan'", "src/kernels/a.h")

    def test_refuses_text_that_is_not_ascii(self):
        self.expect_fault({"src/base/a.cc": "\n// caf\u00e9\n"}, "src/base/a.cc:2: ascii: ")

    def test_refuses_a_file_of_more_than_600_lines(self):
        self.assertEqual(check({"src/base/a.cc": "\n" * 600})[0], 0)
        self.expect_fault({"src/base/a.cc": "\n" * 601}, "src/base/a.cc:600: length: ", "601 lines")

    def test_refuses_a_registry_host(self):
        self.expect_fault({"a.json": '"registry' + '.example.org"\n'}, "a.json:1: machine: ")

    def test_refuses_a_download_address_in_a_lock_file(self):
        self.expect_fault({"package-lock.json": '{\n"resolved": "x"\n}\n'}, "package-lock.json:2: machine: ")

    def test_refuses_a_path_of_one_machine(self):
        self.expect_fault({"src/base/a.cc": "// /home" + "/ann/x\n"}, "src/base/a.cc:1: machine: ")

    def test_refuses_a_link_to_nothing(self):
        self.expect_fault({"README.md": "[x](docs/none.md)\n"}, "README.md:1: link: ", "docs/none.md")

    def test_refuses_cmake_deps_that_differ_from_the_table(self):
        self.expect_fault({"CMakeLists.txt": "\nespalier_room(prune\n  DEPS base kernels\n  LIBS x)\n"},
                          "CMakeLists.txt:2: cmake: ", "prune has DEPS base kernels", "base expected")

    def test_refuses_a_room_that_is_not_in_the_table(self):
        self.expect_fault({"src/extra/a.cc": "int a;\n"}, "src/extra/a.cc:1: table: ", "'extra'")

    def test_refuses_a_table_that_points_upwards(self):
        self.expect_fault({"docs/architecture.md": TABLE_HEAD + ROWS.replace("2 | base", "2 | base, prune"),
                           "CMakeLists.txt": ""}, "docs/architecture.md:6: table: ", "layer 4")


if __name__ == "__main__":
    unittest.main()
