# SPDX-License-Identifier: ISC
"""What all end-to-end tests share: the lab's package, and where the binaries are ($PLAIT_BUILD)."""

import os
import sys

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "lab"))

import plaitlab  # noqa: E402


@pytest.fixture(scope="session")
def build_dir():
    """The build directory, with the binaries in it."""
    return plaitlab.build_dir()
