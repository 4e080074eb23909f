# SPDX-License-Identifier: ISC
"""What is left to the kernel: bypass, MPTCP of LAN hosts, the CPE itself, other LANs, and UDP."""

import socket

import pytest

from peer import MPTCP, Server, ask, connect, exactly, is_mptcp, upper
from plaitlab import Lab, Link
from plaitlab.daemons import Plait


@pytest.fixture(scope="module")
def lab():
    links = [Link("dsl", rate=100, delay=5), Link("lte", rate=100, delay=5)]
    with Lab(links, hosts=2, servers=2) as lab:
        yield lab


@pytest.fixture(scope="module")
def plait(lab):
    plait = Plait(lab, cpe={"bypass": [f"{lab.servers[1].addr4}/32", "2001:db8:5:2::/64", "port 2222"]})
    yield plait
    assert plait.stop() == [0, 0]


@pytest.fixture
def untouched(plait):
    """The test's connections are none of the daemons'."""
    before = plait.used()
    yield
    assert plait.used() == before


@pytest.mark.parametrize("family", ["4", "6"])
def test_prefix(lab, untouched, family):
    with Server(lab.servers[1], upper) as server:
        assert ask(lab.host, getattr(lab.servers[1], "addr" + family), server.port) == b"HELLO"
        assert server.peers == [getattr(lab.host, "addr" + family)]


@pytest.mark.parametrize("family", ["4", "6"])
def test_port(lab, untouched, family):
    with Server(lab.server, upper, port=2222) as server:
        assert ask(lab.host, getattr(lab.server, "addr" + family), server.port) == b"HELLO"
        assert server.peers == [getattr(lab.host, "addr" + family)]


@pytest.mark.parametrize("family", ["4", "6"])
def test_lan_host_with_mptcp(lab, untouched, family):
    """It needs no help: its connection is MPTCP from end to end."""
    def handler(conn):
        exactly(conn, 5)
        conn.sendall(b"HELLO")
        return is_mptcp(conn)

    with Server(lab.server, handler, proto=MPTCP) as server:
        with connect(lab.host, getattr(lab.server, "addr" + family), server.port, proto=MPTCP) as client:
            client.sendall(b"hello")
            assert exactly(client, 5) == b"HELLO"
            assert is_mptcp(client)
        assert server.result()
        assert server.peers == [getattr(lab.host, "addr" + family)]


@pytest.mark.parametrize("family", ["4", "6"])
def test_the_cpe_itself(lab, untouched, family):
    """A router's own services stay in reach."""
    with Server(lab.cpe, upper) as server:
        address = {"4": "10.10.1.1", "6": "fd00:10:1::1"}[family]
        assert ask(lab.host, address, server.port) == b"HELLO"


@pytest.mark.parametrize("family", ["4", "6"])
def test_the_cpe_by_its_wan_address(lab, untouched, family):
    with Server(lab.cpe, upper) as server:
        address = getattr(lab.wan[0], "cpe_addr" + family)
        assert ask(lab.host, address, server.port, timeout=2) == b"HELLO"


@pytest.mark.parametrize("family", ["4", "6"])
def test_another_lan(lab, untouched, family):
    with Server(lab.hosts[1], upper) as server:
        assert ask(lab.host, getattr(lab.hosts[1], "addr" + family), server.port) == b"HELLO"
        assert server.peers == [getattr(lab.host, "addr" + family)]


def test_the_converter_itself(lab, plait):
    """A LAN host may speak to it, and is no client of it."""
    before = plait.cpe.counter("accepted")
    with connect(lab.host, lab.conv.addr4, 5124) as client, pytest.raises(ConnectionResetError):
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        exactly(client, 1)
    assert plait.cpe.counter("accepted") == before


def test_udp(lab, untouched):
    with lab.server.socket(kind=socket.SOCK_DGRAM) as server, \
            lab.host.socket(kind=socket.SOCK_DGRAM) as client:
        server.bind((lab.server.addr4, 5353))
        for sock in (server, client):
            sock.settimeout(10)
        client.sendto(b"question", (lab.server.addr4, 5353))
        data, peer = server.recvfrom(100)
        server.sendto(data.upper(), peer)
        assert client.recv(100) == b"QUESTION"
        assert peer[0] == lab.host.addr4


def test_the_cpes_own_connections(lab, untouched):
    with Server(lab.server, upper) as server:
        assert ask(lab.cpe, lab.server.addr4, server.port) == b"HELLO"


@pytest.mark.parametrize("host", [0, 1])
@pytest.mark.parametrize("server", [0])
def test_all_else_is_converted(lab, plait, host, server):
    before = plait.cpe.counter("converted")
    with Server(lab.servers[server], upper) as there:
        assert ask(lab.hosts[host], lab.servers[server].addr4, there.port) == b"HELLO"
        assert there.peers == [lab.conv.addr4]
    assert plait.cpe.counter("converted") == before + 1
