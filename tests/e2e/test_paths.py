# SPDX-License-Identifier: ISC
"""Links that die under a running transfer: it goes on over the other one, with every byte in place."""

import pytest

from peer import Transfer
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait

SIZE = 48 << 20
BEFORE = 4 << 20


@pytest.fixture(scope="module")
def lab():
    with Lab([Link("dsl", rate=100, delay=10), Link("lte", rate=80, delay=15)], core_delay=2) as lab:
        yield lab


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("mode", ["down", "blackhole"])
@pytest.mark.parametrize("link", ["dsl", "lte"])
def test_cut(lab, plait, way, mode, link):
    wait_until(lambda: lab.link[link].stats()["up"]["modes"] == [], 5, "the link to be up")
    lab.link[link].reset()
    with Transfer(lab, way, SIZE):
        wait_until(lambda: lab.link[link].stats()[way]["bytes"] > BEFORE, 20, f"a share over {link}")
        lab.link[link].mode(mode)
    assert plait.cpe.counter("tcp_fallback") == 0
    lab.link[link].mode(mode, False)
    plait.idle(60)
    wait_until(lambda: len(lab.cpe.run(["ip", "mptcp", "endpoint"]).stdout.splitlines()) == 4, 20,
               "all endpoints")


def test_backup(lab, plait, request):
    """A link in backup mode carries next to nothing while the other one works, and takes over."""
    plait.cpe.stop()
    other = Plait(lab, start=False, backup=["lte"])
    request.addfinalizer(plait.cpe.start)
    request.addfinalizer(other.stop)
    other.cpe.start()
    for wan in lab.wan:
        lab.link[wan.name].reset()
    with Transfer(lab, "down", SIZE):
        wait_until(lambda: lab.link["dsl"].stats()["down"]["bytes"] > BEFORE, 20, "a share over dsl")
        assert lab.link["lte"].stats()["down"]["bytes"] < BEFORE / 10
        lab.link["dsl"].mode("down")
    assert lab.link["lte"].stats()["down"]["bytes"] > BEFORE
    lab.link["dsl"].mode("down", False)
