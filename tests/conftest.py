"""Lets Python tests import `support` (tests/support) and `stack` (deploy/local/stack)."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "deploy" / "local")]
