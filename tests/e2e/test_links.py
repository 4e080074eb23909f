# SPDX-License-Identifier: ISC
"""Links of other kinds than two that are alike: small MTUs, a slow one beside a fast one, eight of them."""

import pytest

from peer import MB, Server, Transfer, connect, upper
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait
from plaitlab.flap import Bulk, Flapper

PORT = 9000


def transfer(lab, way, size, family="4"):
    with Transfer(lab, way, size, family):
        pass


def counted(lab, way):
    return {wan.name: lab.link[wan.name].stats()[way]["bytes"] for wan in lab.wan}


# ---- MTU

@pytest.fixture(scope="module", params=["both ends", "far end"])
def small(request):
    """A lab whose first link takes what the test says; at both ends, as with PPPoE, or at the far one
    alone, so that only ICMP tells."""
    with Lab([Link("dsl", rate=60, delay=10), Link("lte", rate=40, delay=15)], core_delay=5) as lab:
        plait = Plait(lab)

        def mtu(size):
            lab.net.run(["ip", "link", "set", "dsl", "mtu", str(size)])
            if request.param == "both ends":
                lab.cpe.run(["ip", "link", "set", "dsl", "mtu", str(size)])
            return lab, plait

        yield mtu
        assert plait.stop() == [0, 0]


@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("family", ["4", "6"])
@pytest.mark.parametrize("size", [1492, 1280])
def test_small_mtu(small, size, family, way):
    """Every byte arrives, over both links, and nobody waits for a packet that is too large."""
    lab, plait = small(size)
    for wan in lab.wan:
        lab.link[wan.name].reset()
    with lab.capture("net", "dsl", "tcp", snaplen=96) as cap:
        transfer(lab, way, 12 * MB, family)
    bytes_over = counted(lab, way)
    assert min(bytes_over.values()) > MB, bytes_over
    assert plait.cpe.counter("tcp_fallback") == 0
    # On the wire no packet was larger, whatever its sender believed before it was told.
    longest = max(int(row["frame.len"]) for row in cap.tshark(["frame.len"], f"ip.src == {lab.conv.addr4}"))
    assert longest <= size + 14


# ---- unequal

@pytest.mark.parametrize("way", ["down", "up"])
def test_a_throttled_second_link(way, ends):
    """2 Mbit/s beside 50: everything arrives, and most of it by the fast one."""
    with Lab([Link("dsl", rate=50, delay=15), Link("lte", rate=2, delay=60)], core_delay=5) as lab:
        ends(Plait(lab))
        transfer(lab, way, 24 * MB)
        bytes_over = counted(lab, way)
        assert bytes_over["dsl"] > 20 * MB


# ---- one family

@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("families", ["4", "6"])
def test_links_of_one_family_come_back(families, way, ends):
    """Each that loses its carrier is joined to the running connection again, the one it began on included."""
    links = [Link("dsl", rate=60, delay=10, families=families), Link("lte", rate=40, delay=15, families=families)]
    with Lab(links, core_delay=5) as lab:
        plait = ends(Plait(lab))
        flapper = Flapper(lab)
        with Bulk(lab, way, PORT):
            for link, other in (("dsl", "lte"), ("lte", "dsl")):
                wait_until(lambda: flapper.is_back(link, way) and flapper.is_back(other, way), 10, "both to be used")
                flapper.go(link, "carrier")
                wait_until(lambda: not flapper.is_joined(link), 10, f"{link} to be left")
                flapper.back(link)
            wait_until(lambda: flapper.is_back("lte", way), 10, "the last one to be used again")
        assert plait.cpe.counter("tcp_fallback") == 0


# ---- eight

def test_eight_links(ends):
    """The kernel's path manager takes no more; all of them carry one connection."""
    links = [Link(f"wan{n}", rate=10, delay=10 + n) for n in range(1, 9)]
    with Lab(links, core_delay=5, families="4") as lab:
        plait = ends(Plait(lab))
        assert len(plait.cpe.ask("paths")["paths"]) == 8
        with Server(lab.server, upper) as server, connect(lab.host, lab.server.addr4, server.port) as client:
            client.sendall(b"word")
            wait_until(lambda: len(lab.cpe.run("ss -Htn dport = 5124").stdout.splitlines()) == 8, 10,
                       "eight subflows")
        for way in ("down", "up"):
            for wan in lab.wan:
                lab.link[wan.name].reset()
            transfer(lab, way, 24 * MB)
            bytes_over = counted(lab, way)
            assert min(bytes_over.values()) > MB / 2, (way, bytes_over)
        for gone in (0, 3, 7):
            lab.link[f"wan{gone + 1}"].mode("down")
        transfer(lab, "down", 8 * MB)
        assert plait.cpe.counter("tcp_fallback") == 0
