# SPDX-License-Identifier: ISC
"""Without a usable converter connections go direct (or nowhere); what is no converter is not trusted."""

import socket

import pytest

import convert
from convert import Message, message
from peer import Server, ask, to_end, upper
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait

NOBODY = "198.51.100.9"         # on the converter's network, and nobody has it


def direct(lab, server, family="4"):
    """Whether a connection works and comes from the LAN host itself."""
    assert ask(lab.host, getattr(lab.server, "addr" + family), server.port) == b"HELLO"
    return server.peers[-1] == getattr(lab.host, "addr" + family)


# ---- absent

@pytest.mark.parametrize("family", ["4", "6"])
def test_nothing_listens(lab, start, server, family):
    plait = start(with_conv=False)
    for _ in range(2):
        assert direct(lab, server, family)
    assert plait.cpe.counter("direct") == 1     # the second one was left to the kernel's forwarding
    assert plait.cpe.counter("converter_unreachable") == 1
    assert "going direct" in plait.cpe.log() or "go direct" in plait.cpe.log()


def test_silence(lab, start, server):
    """An address that swallows everything: the first connection waits, those behind it do not."""
    plait = start(converters=[NOBODY], with_conv=False)
    lab.net.run(["ip", "route", "add", "blackhole", NOBODY])
    try:
        assert direct(lab, server)
        assert direct(lab, server)
        assert plait.cpe.counter("converter_unreachable") >= 1
    finally:
        lab.net.run(["ip", "route", "del", "blackhole", NOBODY])


def test_one_rst_is_no_reason_to_leave_it(lab, start, server):
    """It may be the answer to an earlier connection from the same port, whose end was lost."""
    plait = start()
    assert not direct(lab, server)
    lab.conv.run(["nft", "add table inet once; add chain inet once in { type filter hook input priority 0; };"
                  "add rule inet once in tcp dport 5124 tcp flags & (syn | ack) == syn "
                  "limit rate 1/hour burst 1 packets reject with tcp reset"])
    try:
        assert not direct(lab, server)
        assert plait.cpe.counter("converter_unreachable") == 0
        assert plait.cpe.ask("converters")["converters"][0]["connections"] == 3
    finally:
        lab.conv.run(["nft", "delete table inet once"])


def test_direct_under_masquerade(build_dir):
    with Lab([Link("dsl", rate=100, delay=5), Link("lte", rate=100, delay=5)], masquerade=True) as lab:
        plait = Plait(lab, start=False)
        plait.cpe.start()
        with Server(lab.server, upper) as server:
            assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
            assert server.peers == [lab.wan[0].cpe_addr4]
            plait.conv.start()
            wait_until(lambda: "answers again" in plait.cpe.log(), 20, "the probe to find it")
            assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
            assert server.peers[-1] == lab.conv.addr4
        assert plait.stop() == [0, 0]


def test_refuse(lab, start, server):
    plait = start(cpe={"no_converter": "refuse"}, with_conv=False)
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            ask(lab.host, lab.server.addr4, server.port)
    assert plait.cpe.counter("refused") == 2
    assert server.peers == []


def test_no_converter_is_configured(lab, start, server):
    plait = start(converters=[], with_conv=False)
    assert direct(lab, server)
    assert "no converter is configured" in plait.cpe.log()


def test_the_next_one_is_used(lab, start, server):
    plait = start(converters=[NOBODY + "#5124", lab.conv.addr4 + "#5999", lab.conv.addr4])
    lab.net.run(["ip", "route", "add", "unreachable", NOBODY])
    try:
        assert not direct(lab, server)
    finally:
        lab.net.run(["ip", "route", "del", "unreachable", NOBODY])
    assert server.peers == [lab.conv.addr4]
    assert plait.cpe.counter("converter_unreachable") == 2
    assert plait.cpe.counter("converted") == 1


def test_it_comes_back(lab, start, server):
    """A probe finds it; connections use it again; nothing need be started anew."""
    plait = start()
    assert not direct(lab, server)
    plait.conv.stop()
    assert direct(lab, server)
    plait.conv.start()
    wait_until(lambda: "answers again" in plait.cpe.log(), 30, "the probe to find it")
    assert not direct(lab, server)
    assert plait.cpe.counter("probes") >= 1


def test_not_among_the_clients(lab, start, server):
    plait = start(conv={"clients": ["192.0.2.0/24"]})
    for _ in range(2):
        assert direct(lab, server)
    assert plait.cpe.counter("unauthorized") == 1


def test_cookie_is_required(lab, start, server):
    """Missing Cookie brings one; the connection is made with it, and so are those behind it."""
    plait = start(conv={"cookie": "required"})
    for _ in range(3):
        assert not direct(lab, server)
    assert plait.conv.counter("no_cookie") == 1
    assert plait.cpe.counter("converted") == 3
    assert plait.cpe.counter("tcp_fallback") == plait.cpe.counter("direct") == 0


def test_cookie_that_is_too_old(lab, start, server):
    """A converter that started anew knows no cookie of before; nobody on the LAN notices."""
    plait = start(conv={"cookie": "required"})
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    plait.conv.stop()
    plait.conv.start()
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert plait.cpe.counter("converted") == 2
    assert plait.cpe.counter("direct") == 0
    assert plait.conv.counter("not_authorized") == plait.conv.counter("no_cookie") == 1


# ---- impostors: what answers at the converter's place, and how

def fast_open(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
    sock.setsockopt(socket.IPPROTO_TCP, 34, 1)


def read_request(conn):
    data = convert.read(conn)
    return data, Message(data)


def http(conn):
    conn.recv(4096)
    conn.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def parrot(conn):
    """It echoes Connect TLV and nonce, too; but no answer has the patience of a request."""
    conn.sendall(conn.recv(4096))
    conn.recv(1)


def wrong_nonce(conn):
    _, m = read_request(conn)
    conn.sendall(message(convert.connect(*m.server()), convert.echo(m.echo()[2] ^ 1)))
    conn.recv(1)


def wrong_server(conn):
    _, m = read_request(conn)
    conn.sendall(message(convert.connect("192.0.2.1", 80), convert.echo(m.echo()[2])))
    conn.recv(1)


def no_echo(conn):
    _, m = read_request(conn)
    conn.sendall(message(convert.connect(*m.server())))
    conn.recv(1)


def garbage(conn):
    conn.recv(4096)
    conn.sendall(bytes(range(256)) * 8)
    conn.recv(1)


def closes_at_once(conn):
    conn.recv(4096)


def half_an_answer(conn):
    data, _ = read_request(conn)
    conn.sendall(data[:12])


IMPOSTORS = [http, parrot, wrong_nonce, wrong_server, no_echo, garbage, closes_at_once, half_an_answer]


@pytest.mark.parametrize("impostor", IMPOSTORS, ids=lambda f: f.__name__)
def test_impostor(lab, start, server, impostor):
    """It is asked once; that connection and those behind it go direct; it never sees user data."""
    lab.conv.sysctl("net.ipv4.tcp_fastopen", 3)
    seen = []

    def handler(conn):
        data = conn.recv(4096, socket.MSG_PEEK)
        seen.append(data)
        impostor(conn)

    with Server(lab.conv, handler, port=5124, setup=fast_open):
        plait = start(with_conv=False)
        for _ in range(2):
            assert direct(lab, server)
    counters = plait.cpe.status()["counters"]
    assert counters["answer_wrong"] + counters["answer_missing"] == 1
    assert counters["direct"] == 1 and counters["converted"] == 0
    assert len(seen) == 1 and b"hello" not in seen[0]


def test_impostor_that_says_nothing(lab, start, server):
    """The handshake is all that comes: given up after some seconds."""
    lab.conv.sysctl("net.ipv4.tcp_fastopen", 3)
    with Server(lab.conv, lambda conn: conn.recv(4096) and conn.recv(1), port=5124, setup=fast_open):
        plait = start(with_conv=False)
        assert direct(lab, server)
        assert direct(lab, server)
    assert plait.cpe.counter("answer_missing") == 1


@pytest.mark.parametrize("code", [convert.RESOURCE_EXCEEDED, convert.NETWORK_FAILURE])
def test_it_says_how_long_to_stay_away(lab, start, server, code):
    """Error 64 and 65 with their Value in seconds: left alone for as long, and then asked again."""
    lab.conv.sysctl("net.ipv4.tcp_fastopen", 3)
    asked = []

    def handler(conn):
        asked.append(read_request(conn))
        conn.sendall(message(convert.error(code, bytes([2]))))
        conn.shutdown(socket.SHUT_WR)
        to_end(conn)

    with Server(lab.conv, handler, port=5124, setup=fast_open):
        plait = start(with_conv=False)
        for _ in range(3):
            assert direct(lab, server)
        converter, = plait.cpe.ask("converters")["converters"]
        assert (converter["trust"], len(asked)) == ("backing off", 1)
        assert 0 < converter["seconds_left"] <= 2
        wait_until(lambda: plait.cpe.ask("converters")["converters"][0]["trust"] != "backing off", 5, "its return")
        assert direct(lab, server)
    assert (len(asked), plait.cpe.counter("converter_busy")) == (2, 2)


def test_distrust_ends(lab, start, server):
    """After distrust_ttl it has another chance."""
    lab.conv.sysctl("net.ipv4.tcp_fastopen", 3)
    with Server(lab.conv, http, port=5124, setup=fast_open):
        plait = start(cpe={"distrust_ttl": 1}, with_conv=False)
        assert direct(lab, server)
    plait.conv.start()
    wait_until(lambda: not direct(lab, server), 10, "the converter to be used again")
