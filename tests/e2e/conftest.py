# SPDX-License-Identifier: ISC
"""What all end-to-end tests share: the lab's package, and where the binaries are ($PLAIT_BUILD)."""

import os
import sys

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "lab"))

import plaitlab  # noqa: E402
from plaitlab.daemons import Plait  # noqa: E402
from peer import Server, upper  # noqa: E402


@pytest.fixture(scope="session")
def build_dir():
    """The build directory, with the binaries in it."""
    return plaitlab.build_dir()


FAST = [plaitlab.Link("dsl", rate=300, delay=10), plaitlab.Link("lte", rate=200, delay=15)]


@pytest.fixture(scope="module")
def lab(request):
    """Two fast links with real delay, or the module's LINKS. One that wants more has a fixture of its own."""
    with plaitlab.Lab(getattr(request.module, "LINKS", FAST), core_delay=5) as lab:
        yield lab


@pytest.fixture
def server(lab):
    """It answers in capitals, and tells who came."""
    with Server(lab.server, upper) as server:
        yield server


@pytest.fixture(scope="module")
def plait(lab):
    """Both daemons, for all tests of a module; they end well and without a complaint."""
    plait = Plait(lab)
    yield plait
    assert plait.stop() == [0, 0]
    for daemon in (plait.cpe, plait.conv):
        assert "refused event" not in daemon.log()      # the state machine's word for a defect
        assert "ERROR: " not in daemon.log()            # the sanitizers'
        assert "runtime error" not in daemon.log()


@pytest.fixture
def ends(request):
    """Called with a Daemon or a Plait: stops it at the test's end, whatever that is."""
    return lambda what: request.addfinalizer(what.stop) or what


@pytest.fixture(autouse=True)
def links_as_they_were(request):
    """Switch off what a test switched on."""
    yield
    if "lab" not in request.fixturenames:
        return
    lab = request.getfixturevalue("lab")
    for wan in lab.wan:
        stats = lab.link[wan.name].stats()
        for mode in {*stats["up"]["modes"], *stats["down"]["modes"]}:
            lab.link[wan.name].mode(mode, False)


@pytest.fixture
def start(lab, request):
    """Start daemons with a configuration of their own; they are stopped at the test's end."""
    def start(with_conv=True, **config):
        plait = Plait(lab, start=False, **config)
        request.addfinalizer(plait.stop)
        if with_conv:
            plait.conv.start()
        plait.cpe.start()
        return plait
    return start


# ---- tables of figures, shown below the results even of tests that pass

@pytest.fixture
def table(record_property):
    """table(title, head, rows) of texts."""
    def table(title, head, rows):
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in [head, *rows]]
        record_property("table", "\n".join([title, *("    " + line for line in lines)]))
    return table


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        if report.when == "call":
            for name, text in report.user_properties:
                if name == "table":
                    terminalreporter.write_line("")
                    terminalreporter.write_line(text)
