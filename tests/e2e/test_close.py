# SPDX-License-Identifier: ISC
"""Every way in which a connection can end is seen at the other side as it was meant."""

import socket

import pytest

from peer import Server, connect, ends_with_reset, exactly, receive, reset, send, to_end
from plaitlab import wait_until

MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left(plait):
    yield
    plait.idle()


def both_count(plait, counter, before):
    """Wait until both daemons have counted one more end of this kind."""
    for daemon in (plait.cpe, plait.conv):
        wait_until(lambda: daemon.counter(counter) > before[daemon.program], 10,
                   f"{daemon.program} to count {counter}")


def counted(plait, counter):
    return {daemon.program: daemon.counter(counter) for daemon in (plait.cpe, plait.conv)}


def test_server_speaks_first(lab, plait):
    with Server(lab.server, lambda conn: conn.sendall(b"220 hello\r\n") or exactly(conn, 4)) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        assert exactly(client, 11) == b"220 hello\r\n"
        client.sendall(b"quit")
        assert server.result() == b"quit"
        assert to_end(client) == b""


def test_client_half_closes_first(lab, plait):
    """The answer may be long: the client's FIN ends one way only."""
    def handler(conn):
        return to_end(conn), send(conn, 8 * MIB)

    before = counted(plait, "ended_finished")
    with Server(lab.server, handler) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        answer = receive(client)
        assert server.result() == (b"request", answer)
    both_count(plait, "ended_finished", before)


def test_server_half_closes_first(lab, plait):
    def handler(conn):
        conn.sendall(b"all that I say")
        conn.shutdown(socket.SHUT_WR)
        return receive(conn)

    with Server(lab.server, handler) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        assert to_end(client) == b"all that I say"
        assert send(client, 8 * MIB) == server.result()


def test_client_closes_at_once(lab, plait):
    with Server(lab.server, to_end) as server:
        connect(lab.host, lab.server.addr4, server.port).close()
        assert server.result() == b""


def test_client_sends_and_closes_at_once(lab, plait):
    with Server(lab.server, to_end) as server:
        with connect(lab.host, lab.server.addr4, server.port) as client:
            client.sendall(b"take this")
        assert server.result() == b"take this"


def test_server_resets_in_mid_stream(lab, plait):
    def handler(conn):
        conn.sendall(bytes(100000))
        exactly(conn, 1)
        reset(conn)

    before = counted(plait, "ended_reset")
    with Server(lab.server, handler) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        assert len(exactly(client, 100000)) == 100000
        client.sendall(b"x")
        assert ends_with_reset(client)
        server.result()
    both_count(plait, "ended_reset", before)


def test_server_resets_while_the_client_sends(lab, plait):
    def handler(conn):
        exactly(conn, 100000)
        reset(conn)

    with Server(lab.server, handler) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send(client, 200 * MIB)
        server.result()


def test_lan_host_resets_in_mid_stream(lab, plait):
    """The server is only reading: the RST must come through by itself."""
    before = counted(plait, "ended_reset")
    with Server(lab.server, lambda conn: (exactly(conn, 5), ends_with_reset(conn))) as server:
        client = connect(lab.host, lab.server.addr4, server.port)
        client.sendall(b"first")
        wait_until(lambda: any(s["bytes_up"] == 5 for s in plait.cpe.ask("sessions")["sessions"]), 10,
                   "the first bytes at the CPE")
        reset(client)
        assert server.result() == (b"first", True)
    both_count(plait, "ended_reset", before)


def test_lan_host_resets_while_the_server_sends(lab, plait):
    def handler(conn):
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send(conn, 200 * MIB)
        return "reset"

    with Server(lab.server, handler) as server:
        client = connect(lab.host, lab.server.addr4, server.port)
        exactly(client, 100000)
        reset(client)
        assert server.result() == "reset"


def test_lan_host_resets_after_its_fin(lab, plait):
    """A half-closed connection is watched still."""
    def handler(conn):
        request = to_end(conn)
        conn.sendall(b"x")
        try:
            while True:
                conn.sendall(bytes(100000))
        except (ConnectionResetError, BrokenPipeError):
            return request

    with Server(lab.server, handler) as server:
        client = connect(lab.host, lab.server.addr4, server.port)
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert exactly(client, 1) == b"x"
        reset(client)
        assert server.result() == b"request"


def test_lan_host_resets_at_once(lab, plait):
    """Before the server could answer: it sees no connection, or one that ends."""
    with Server(lab.server, ends_with_reset) as server:
        for _ in range(10):
            reset(connect(lab.host, lab.server.addr4, server.port))
        plait.idle()
        with connect(lab.host, lab.server.addr4, server.port) as client:
            reset(client)
