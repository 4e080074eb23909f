# SPDX-License-Identifier: ISC
"""`handshake = early`: the LAN host's first bytes ride in the SYN to the converter."""

import socket

import pytest

import convert
from convert import Message
from peer import Server, ask, connect, ends_with_reset, exactly, receive, send, to_end, upper
from plaitlab import wait_until

SYN = "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.dstport == 5124"


@pytest.fixture(params=["auto", "off"], ids=["gate", "no gate"])
def plait(start, request):
    """Daemons with and without gate; the converter has proved itself by one connection."""
    return start(cpe={"handshake": "early", "gate": request.param}, conv={"gate": request.param})


def prove(lab, server):
    assert ask(lab.host, lab.server.addr4, server.port, b"prove") == b"PROVE"
    assert server.result() == b"prove"


def payloads(cap, filter):
    return [bytes.fromhex(row["tcp.payload"].replace(":", "")) for row in cap.tshark(["tcp.payload"], filter)]


@pytest.mark.parametrize("family", ["4", "6"])
def test_request_in_the_syn(lab, plait, server, family):
    """It is with the server before the CPE's third ACK is with the converter."""
    prove(lab, server)
    with lab.capture("conv", "eth0", "tcp") as cap:
        with connect(lab.host, getattr(lab.server, "addr" + family), server.port) as client:
            client.sendall(b"early")
            wait_until(lambda: cap.tshark(["frame.number"], f"tcp.dstport == {server.port} && tcp.len == 5"),
                       10, "the request on its way to the server")
            client.shutdown(socket.SHUT_WR)
            assert to_end(client) == b"EARLY"
    assert server.result() == b"early"
    syn, = payloads(cap, SYN + " && tcp.len > 0")
    message = Message(syn)
    assert message.kinds == [convert.CONNECT, convert.ECHO] and message.rest == b"early"
    number = ["frame.number"]
    to_server = int(cap.tshark(number, f"tcp.dstport == {server.port} && tcp.len == 5")[0]["frame.number"])
    stream = cap.tshark(["tcp.stream"], SYN + " && tcp.len > 0")[0]["tcp.stream"]
    third_ack = int(cap.tshark(number, f"tcp.stream == {stream} && tcp.dstport == 5124 && "
                                       "tcp.flags.syn == 0")[0]["frame.number"])
    assert to_server < third_ack
    assert plait.cpe.counter("tcp_fallback") == plait.cpe.counter("direct") == 0


def test_nothing_early_for_a_stranger(lab, plait, server):
    """A converter that has proved nothing gets no user data before its answer."""
    with lab.capture("conv", "eth0", "tcp") as cap:
        assert ask(lab.host, lab.server.addr4, server.port, b"first") == b"FIRST"
    syn, = payloads(cap, SYN + " && tcp.len > 0")
    assert Message(syn).rest == b""


def test_more_than_a_syn_holds(lab, plait, server):
    """The SYN stays below IPv6's least MTU; the rest follows, and nothing comes twice."""
    prove(lab, server)
    request = bytes(range(97, 123)) * 200
    with lab.capture("conv", "eth0", "tcp") as cap:
        assert ask(lab.host, lab.server.addr4, server.port, request) == request.upper()
    assert server.result() == request
    syn = payloads(cap, SYN + " && tcp.len > 0")[0]
    assert 500 < len(Message(syn).rest) < len(request) and len(syn) <= 1440


def test_bulk_both_ways(lab, plait):
    def handler(conn):
        return receive(conn), send(conn, 3000000)

    with Server(lab.server, upper) as small, Server(lab.server, handler) as server:
        prove(lab, small)
        with connect(lab.host, lab.server.addr4, server.port) as client:
            sent = send(client, 2000000)
            got = receive(client)
        assert server.result() == (sent, got)


def test_server_speaks_first(lab, plait, server):
    prove(lab, server)
    with Server(lab.server, lambda conn: conn.sendall(b"220 ready")) as first, \
            connect(lab.host, lab.server.addr4, first.port) as client:
        assert to_end(client) == b"220 ready"


def test_server_refuses_after_all(lab, plait, server):
    """The LAN host's handshake is over by then: it gets a RST."""
    prove(lab, server)
    with connect(lab.host, lab.server.addr4, 9) as client:
        client.sendall(b"anybody?")
        assert ends_with_reset(client)
    assert plait.cpe.counter("refused_by_server") == 1


def test_goes_another_way_whole(lab, plait, server):
    """What rode in the SYN is still there for the server when the converter is gone."""
    prove(lab, server)
    plait.conv.kill()
    assert ask(lab.host, lab.server.addr4, server.port, b"once") == b"ONCE"
    assert server.result() == b"once"
    assert server.peers[-1] == lab.host.addr4
    assert plait.cpe.counter("direct") == 1


def test_slow_server(lab, plait, server):
    """PENDING comes before the verdict; the request is not lost."""
    prove(lab, server)
    before = plait.conv.counter("pending")
    lab.net.run(["nft", "add table inet t; add chain inet t f { type filter hook forward priority 0; }; "
                        f"add rule inet t f tcp dport {server.port} drop"])
    try:
        with connect(lab.host, lab.server.addr4, server.port) as client:
            client.sendall(b"slow")
            wait_until(lambda: plait.conv.counter("pending") == before + 1, 10, "PENDING")
            lab.net.run(["nft", "flush chain inet t f"])
            client.shutdown(socket.SHUT_WR)
            assert exactly(client, 4) == b"SLOW"
    finally:
        lab.net.run(["nft", "delete table inet t"])
