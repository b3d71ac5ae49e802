"""Tests espalier_check_list of cmake/EspalierLists.cmake on a project made of one list."""

import os
import subprocess
import tempfile
import unittest

LISTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../cmake/EspalierLists.cmake")
PROJECT = f"""cmake_minimum_required(VERSION 3.22)
project(lists NONE)
include({LISTS})
espalier_check_list(src/pets.inc PET src/pets EXCEPT pet.cc)
"""
GOOD = {"src/pets.inc": "// PET(<name>)\nPET(cat)\nPET(dog, 2)\n", "src/pets/cat.cc": "", "src/pets/dog.inl": "",
        "src/pets/cat_test.cc": "", "src/pets/pet.cc": "", "src/pets/pet.h": ""}


def configure(changes):
    """Exit code and output of a configure with these files replaced or added; None removes one."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {"CMakeLists.txt": PROJECT, **GOOD, **changes}.items():
            if text is None:
                continue
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        run = subprocess.run(["cmake", "-S", root, "-B", os.path.join(root, "build"), "-G", "Ninja"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return run.returncode, " ".join(run.stdout.decode().split())


class CheckList(unittest.TestCase):
    def test_passes_a_list_that_matches_its_folder(self):
        code, output = configure({})
        self.assertEqual(code, 0, output)

    def test_stops_at_a_source_that_is_not_listed(self):
        code, output = configure({"src/pets/emu.cc": ""})
        self.assertEqual(code, 1)
        self.assertIn("src/pets/emu.cc is not in the list", output)

    def test_stops_at_a_textual_header_that_is_not_listed(self):
        code, output = configure({"src/pets/emu.inl": ""})
        self.assertEqual(code, 1)
        self.assertIn("src/pets/emu.inl is not in the list", output)

    def test_stops_at_a_line_without_a_file(self):
        code, output = configure({"src/pets/cat.cc": None})
        self.assertEqual(code, 1)
        self.assertIn("src/pets.inc lists 'cat'", output)


if __name__ == "__main__":
    unittest.main()
