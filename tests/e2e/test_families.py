# SPDX-License-Identifier: ISC
"""IPv4 and IPv6 LAN hosts and servers over WANs of one family or of both."""

import pytest

from peer import Server, ask, connect, receive, send, upper
from plaitlab import Lab, Link
from plaitlab.daemons import Plait

FAMILIES = ["4", "6"]
SYNS = "tcp port 5124 and (tcp[tcpflags] & tcp-syn != 0 or ip6[53] & 2 != 0)"


@pytest.fixture(scope="module", params=[("4", "4"), ("6", "6"), ("4", "6"), ("6", "4")], ids="-".join)
def wans(request):
    """A lab whose two WANs have these families, with both daemons."""
    links = [Link(name, rate=100, delay=10, families=families)
             for name, families in zip(("dsl", "lte"), request.param)]
    with Lab(links, core_delay=2) as lab:
        plait = Plait(lab)
        yield lab, plait
        assert plait.stop() == [0, 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_server_is_reached(wans, family):
    """A LAN host's family needs no WAN of that family: the converter has both."""
    lab, plait = wans
    before = plait.cpe.counter("converted")
    with Server(lab.server, upper) as server:
        assert ask(lab.host, getattr(lab.server, "addr" + family), server.port) == b"HELLO"
        source = getattr(lab.conv, "addr" + family)
        assert server.peers == [source]
    assert plait.cpe.counter("converted") == before + 1
    assert plait.cpe.counter("tcp_fallback") == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_bulk(wans, family):
    lab, plait = wans
    with Server(lab.server, lambda conn: (receive(conn), send(conn, 4 << 20))) as server, \
            connect(lab.host, getattr(lab.server, "addr" + family), server.port) as client:
        mine = send(client, 4 << 20), receive(client)
        assert server.result() == mine
    assert plait.cpe.counter("tcp_fallback") == 0


def test_both_links_carry_one_connection(wans):
    """Whatever their families are: a subflow on each, and no more than one."""
    lab, plait = wans
    links = [lab.link[wan.name] for wan in lab.wan]
    before = [link.stats()["down"]["bytes"] for link in links]
    with Server(lab.server, lambda conn: send(conn, 16 << 20)) as server, \
            lab.capture("cpe", filter=SYNS) as cap, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        assert receive(client) == server.result()
    carried = [link.stats()["down"]["bytes"] - was for link, was in zip(links, before)]
    assert min(carried) > 1 << 20, carried
    joins = cap.tshark(["tcp.stream"], "tcp.options.mptcp.subtype == 1 && tcp.flags == 0x002")
    assert len(joins) == 1


def test_converter_has_both_families(wans):
    """Over the WAN of the other family, too, by a second address of the converter."""
    lab, plait = wans
    if {wan.families for wan in lab.wan} != {"4", "6"}:
        return
    wan = next(wan for wan in lab.wan if wan.families == "6")
    plait.cpe.stop()
    other = Plait(lab, start=False, converters=[lab.conv.addr6])
    other.cpe.start()
    try:
        with Server(lab.server, upper) as server, lab.capture("net", wan.name, "tcp") as cap:
            assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert cap.tshark(["ipv6.src"], "tcp.flags.syn == 1 && tcp.flags.ack == 0") == \
            [{"ipv6.src": wan.cpe_addr6}]
    finally:
        assert other.cpe.stop() == 0
        plait.cpe.start()
