# SPDX-License-Identifier: ISC
"""What is on the wire, seen by captures: the SYN, its timing, and no Convert byte past the daemons."""

import socket

import pytest

import convert
from convert import Message
from peer import Server, connect, exactly, receive, send, to_end, upper
from plaitlab import wait_until

SYN = "tcp.flags.syn == 1 && tcp.flags.ack == 0"
CAPABLE, JOIN = "0", "1"


@pytest.fixture(autouse=True)
def nothing_left(plait):
    yield
    plait.idle()


def bytes_of(text):
    return bytes.fromhex(text.replace(":", ""))


def segments(cap):
    """All TCP segments, as (source, SYN?, sequence number, payload). One run of tshark: it is slow."""
    rows = cap.tshark(["ip.src", "ipv6.src", "tcp.flags", "tcp.seq_raw", "tcp.payload"], "tcp")
    return [(row["ip.src"] or row["ipv6.src"], bool(int(row["tcp.flags"], 16) & 2),
             int(row["tcp.seq_raw"]), bytes_of(row["tcp.payload"])) for row in rows]


def stream(found, source):
    """What `source` sent, put together by sequence number; its SYN has to be empty."""
    mine = [segment[1:] for segment in found if segment[0] == source]
    syn, = {(seq, payload) for is_syn, seq, payload in mine if is_syn}
    assert syn[1] == b""
    data = bytearray()
    for offset, payload in sorted(((seq - syn[0] - 1) % 2**32, payload)
                                  for is_syn, seq, payload in mine if payload):
        assert offset <= len(data), "a gap"
        known = len(data) - offset
        assert data[offset:offset + len(payload)] == payload[:known]
        data += payload[known:]
    return bytes(data)


@pytest.mark.parametrize("family", ["4", "6"])
def test_the_syn(lab, plait, family):
    """One SYN over the first link, with MP_CAPABLE and the message; the other link joins later."""
    address = getattr(lab.server, "addr" + family)
    with Server(lab.server, upper) as server, \
            lab.capture("net", "dsl", "tcp") as dsl, lab.capture("net", "lte", "tcp") as lte:
        with connect(lab.host, address, server.port) as client:
            client.sendall(b"word")
            wait_until(lambda: lte.tshark(["tcp.flags"], "tcp.flags.syn == 0 && tcp.option_kind == 30"),
                       10, "the second subflow to be established")
            client.shutdown(socket.SHUT_WR)
            assert to_end(client) == b"WORD"
    syns = dsl.tshark(["ip.src", "ip.dst", "tcp.dstport", "tcp.options.mptcp.subtype", "tcp.payload"], SYN)
    assert len(syns) == 1
    syn = syns[0]
    assert (syn["ip.src"], syn["ip.dst"]) == (lab.wan[0].cpe_addr4, lab.conv.addr4)
    assert (syn["tcp.dstport"], syn["tcp.options.mptcp.subtype"]) == ("5124", CAPABLE)
    message = Message(bytes_of(syn["tcp.payload"]))
    assert message.kinds == [convert.CONNECT, convert.ECHO] and message.rest == b""
    assert message.server() == (address, server.port)
    joins = lte.tshark(["ip.src", "tcp.options.mptcp.subtype", "tcp.len"], SYN)
    assert joins == [{"ip.src": lab.wan[1].cpe_addr4, "tcp.options.mptcp.subtype": JOIN, "tcp.len": "0"}]


def test_patience_leaves_room_for_the_round_trip(lab, plait):
    """10 ms units, unknown at first, then below the second after which a SYN is repeated."""
    with Server(lab.server, upper) as server, lab.capture("net", "dsl", "tcp") as cap:
        for _ in range(2):
            with connect(lab.host, lab.server.addr4, server.port) as client:
                client.shutdown(socket.SHUT_WR)
                to_end(client)
    messages = [Message(bytes_of(r["tcp.payload"])) for r in cap.tshark(["tcp.payload"], SYN)]
    nonces = {m.echo()[2] for m in messages}
    assert len(nonces) == len(messages) == 2
    assert 50 <= messages[1].echo()[1] <= 98


def test_no_extra_round_trip(lab, plait):
    """The converter's SYN to the server leaves before the CPE's third ACK is there, and is accepted
    on the SYN."""
    before = plait.conv.counter("on_syn")
    with Server(lab.server, upper) as server, lab.capture("conv", "eth0", "tcp") as cap:
        with connect(lab.host, lab.server.addr4, server.port) as client:
            client.shutdown(socket.SHUT_WR)
            to_end(client)
    fields = ["frame.number"]
    ours = int(cap.tshark(fields, f"{SYN} && tcp.dstport == {server.port}")[0]["frame.number"])
    ack = int(cap.tshark(fields, "tcp.dstport == 5124 && tcp.flags.syn == 0")[0]["frame.number"])
    assert ours < ack
    assert plait.conv.counter("on_syn") == before + 1


@pytest.mark.parametrize("family", ["4", "6"])
@pytest.mark.parametrize("first", ["client", "server"])
def test_no_convert_bytes_past_the_daemons(lab, plait, family, first):
    """Server and LAN host get exactly what the other one sent: compared with captures at both."""
    request, answer = b"request " * 5000, b"answer " * 9000
    address = getattr(lab.server, "addr" + family)

    def handler(conn):
        if first == "server":
            conn.sendall(answer)
        exactly(conn, len(request))
        if first == "client":
            conn.sendall(answer)

    with Server(lab.server, handler) as server, lab.capture("server", "eth0", "tcp") as at_server, \
            lab.capture("host", "eth0", "tcp") as at_host:
        with connect(lab.host, address, server.port) as client:
            client.sendall(request)
            assert exactly(client, len(answer)) == answer
            assert to_end(client) == b""
        server.result()
    for cap, client_address in ((at_server, getattr(lab.conv, "addr" + family)),
                                (at_host, getattr(lab.host, "addr" + family))):
        found = segments(cap)
        assert {source for source, *_ in found} == {client_address, address}
        assert stream(found, client_address) == request
        assert stream(found, address) == answer


def test_both_links_add_up(lab, plait):
    """A bulk goes over both links, each with its share, over one connection that stays MPTCP. They are
    slow enough for a busy machine to fill both."""
    for wan in lab.wan:
        lab.link[wan.name].reset()
        lab.link[wan.name].set(down={"rate": 50})
    with Server(lab.server, lambda conn: send(conn, 16 << 20)) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        assert receive(client) == server.result()
    share = [lab.link[wan.name].stats()["down"]["bytes"] for wan in lab.wan]
    for wan in lab.wan:
        lab.link[wan.name].set(down={"rate": wan.link.rate})
    assert sum(share) >= 16 << 20
    assert min(share) > sum(share) / 10
    assert plait.cpe.counter("tcp_fallback") == 0


# ---- the third ACK

@pytest.mark.parametrize("kind", ["server speaks first", "server answers at once"])
def test_delayed_third_ack(lab, plait, kind):
    """What the converter writes before the third ACK would never leave it (kernel)."""
    lab.link["dsl"].mode("hold-third-ack", 300, "up")
    handler = upper if kind == "server answers at once" else lambda conn: conn.sendall(b"WORD")
    with Server(lab.server, handler) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        if handler is upper:
            client.sendall(b"word")
            client.shutdown(socket.SHUT_WR)
        assert to_end(client) == b"WORD"
        server.result()
    assert plait.cpe.counter("tcp_fallback") == 0


def test_delayed_third_ack_of_a_refused_server(lab, plait):
    """The Error TLV has to wait, too."""
    lab.link["dsl"].mode("hold-third-ack", 300, "up")
    before = plait.cpe.counter("refused_by_server")
    with pytest.raises(ConnectionRefusedError):
        connect(lab.host, lab.server.addr4, 9)
    assert plait.cpe.counter("refused_by_server") == before + 1
    assert plait.cpe.counter("answer_missing") == 0


def test_window_of_a_syn(lab, plait):
    """The converter never believes in more room than its client has (src/intercept/window.h)."""
    def out_of_window():
        text = lab.cpe.run("nstat -asz MPTcpExtNoDSSInWindow | tail -1").stdout
        return int(text.split()[1])

    before = out_of_window()
    with Server(lab.server, lambda conn: send(conn, 32 << 20)) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        assert receive(client) == server.result()
    assert out_of_window() == before
