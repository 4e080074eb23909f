# SPDX-License-Identifier: ISC
"""Links that die under a running transfer: it goes on over the other one, with every byte in place."""

import pytest

from peer import Transfer
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait
from plaitlab.flap import Bulk, Flapper

PORT = 9000
SIZE = 48 << 20
BEFORE = 4 << 20
HANDSHAKES = 20_000     # bytes on a backup link: some joins and probes


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


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("mode", ["down", "blackhole"])
def test_backup(lab, plait, request, way, mode):
    """A link in backup mode carries handshakes and nothing else while the other one works, then all; and
    is left again when the other one is back."""
    plait.cpe.stop()
    other = Plait(lab, start=False, backup=["lte"])
    request.addfinalizer(plait.cpe.start)
    request.addfinalizer(other.stop)
    other.cpe.start()
    for wan in lab.wan:
        lab.link[wan.name].reset()
    flapper = Flapper(lab)
    with Bulk(lab, way, PORT):
        wait_until(lambda: lab.link["dsl"].stats()[way]["bytes"] > SIZE // 2, 20, "a share over dsl")
        assert flapper.is_joined("lte")
        stats = lab.link["lte"].stats()
        assert max(stats["up"]["bytes"], stats["down"]["bytes"]) < HANDSHAKES, stats
        lab.link["dsl"].mode(mode)
        wait_until(lambda: flapper.carries("lte", way, share=0.8), 10, "lte to carry all")
        lab.link["dsl"].mode(mode, False)
        wait_until(lambda: flapper.is_back("dsl", way) and not flapper.carries("lte", way, share=0.05), 20,
                   "dsl to carry all again")
    assert other.cpe.counter("tcp_fallback") == 0
