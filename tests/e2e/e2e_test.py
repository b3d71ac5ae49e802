#!/usr/bin/env python3
"""Runs the espalier program as a user does: flows end to end, and bad input.

usage: e2e_test.py ESPALIER SOURCE_DIR [unittest arguments, e.g. Commands.test_run]
"""

import sys
import unittest

# pylint: disable=unused-import
from bad_input_cases import BadInput, Interrupted
from command_cases import Commands
from forecast_cases import Forecast
from icu_cases import IcuMortality
from recipe_cases import Recipe
from speech_cases import Speech
from text_cases import Text

if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
