# SPDX-License-Identifier: ISC
"""Bytes arrive: all of them, unchanged, in both directions, however slow the reader is."""

import socket
import time

import pytest

from peer import Server, Task, connect, echo, exactly, receive, send, to_end
from plaitlab import wait_until

MIB = 1 << 20
SIZES = [0, 1, 1460, MIB, 200 * MIB]
SLOW = 64 * MIB


@pytest.fixture(autouse=True)
def all_converted(plait):
    """Nothing went around the converter or lost its MPTCP, and nothing stays open."""
    yield
    plait.idle()
    used = plait.used()
    assert used["cpe.converted"] == used["cpe.accepted"]
    assert used["cpe.tcp_fallback"] == used["cpe.direct"] == 0
    assert used["conv.defective"] == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["up", "down"])
def test_transfer(lab, plait, way, size):
    bulk = {"timeout": 240}
    handler = receive if way == "up" else lambda conn: send(conn, size)
    with Server(lab.server, handler, **bulk) as server, \
            connect(lab.host, lab.server.addr4, server.port, **bulk) as client:
        mine = send(client, size) if way == "up" else receive(client)
        if way == "up":
            assert to_end(client) == b""
        assert server.result(240) == mine
    assert mine[0] == size


def test_both_ways_at_once(lab, plait):
    def exchange(sock):
        sender = Task(send, sock, 10 * MIB)
        return receive(sock), sender.result()

    with Server(lab.server, exchange) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        received, sent = exchange(client)
        assert server.result() == (sent, received)
    assert received[0] == sent[0] == 10 * MIB


def test_two_hundred_at_once(lab, plait):
    """Each sends 50 kB, has them back, and all 200 are open at the same time."""
    def one(sock):
        sender = Task(send, sock, 50000)
        return receive(sock), sender.result()

    with Server(lab.server, echo) as server:
        clients = [connect(lab.host, lab.server.addr4, server.port) for _ in range(200)]
        wait_until(lambda: plait.cpe.status()["sessions"] == 200, 20, "200 sessions")
        for task in [Task(one, client) for client in clients]:
            received, sent = task.result()
            assert received == sent
        for client in clients:
            client.close()


def test_many_short_ones_in_a_row(lab, plait):
    with Server(lab.server, echo) as server:
        for n in range(50):
            with connect(lab.host, lab.server.addr4, server.port) as client:
                client.sendall(b"%d" % n)
                client.shutdown(socket.SHUT_WR)
                assert to_end(client) == b"%d" % n


def test_no_stall_behind_segments_in_the_wrong_order(lab, plait):
    """Two links of unequal delay and a young connection: the kernel's receive buffer fills with what
    waits for an earlier segment (docs/design.md). Without the relay's help 1 in 50 of these hangs."""
    def some():
        for _ in range(100):
            with connect(lab.host, lab.server.addr4, server.port, timeout=20) as client:
                sender = Task(send, client, 300000)
                assert receive(client) == sender.result(20)

    with Server(lab.server, echo) as server:
        for task in [Task(some), Task(some)]:
            task.result(120)


def test_a_dialogue(lab, plait):
    """Many small messages in turn: none is held back to be sent with the next one."""
    with Server(lab.server, echo) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(20):
            client.sendall(b"%04d" % n)
            assert exactly(client, 4) == b"%04d" % n


# ---- slow readers

def blocked(sock, size):
    """Send until nothing more is taken for a while; the bytes sent, and the digest's object."""
    import hashlib
    import os
    digest = hashlib.sha256()
    sock.settimeout(2)
    total = 0
    while total < size:
        part = os.urandom(65536)
        try:
            sent = sock.send(part)
        except TimeoutError:
            return total, digest
        digest.update(part[:sent])
        total += sent
    raise AssertionError(f"{size} bytes were taken, although nobody read")


@pytest.mark.parametrize("way", ["up", "down"])
def test_slow_reader(lab, plait, way):
    """The sender has to wait for the reader; what waits between is bounded; nothing is lost."""
    accepted = []
    hold = []

    def handler(conn):
        accepted.append(conn)
        wait_until(lambda: hold, 60, "the test to end")

    with Server(lab.server, handler) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        try:
            wait_until(lambda: accepted, 10, "the connection at the server")
            before = [d.memory() for d in (plait.cpe, plait.conv)]
            sender, reader = (client, accepted[0]) if way == "up" else (accepted[0], client)
            total, digest = blocked(sender, 8 * SLOW)
            for daemon, was in zip((plait.cpe, plait.conv), before):
                assert daemon.memory() - was < 8 * MIB
            sender.settimeout(60)
            result = Task(receive, reader)
            sender.shutdown(socket.SHUT_WR)
            assert result.result() == (total, digest.hexdigest())
        finally:
            hold.append(True)


def test_many_slow_readers(lab, plait):
    """64 of them, 1 MiB each: what the daemons keep is bounded, and all is delivered in the end."""
    with Server(lab.server, lambda conn: send(conn, MIB)) as server:
        clients = []
        for _ in range(64):
            sock = lab.host.socket()
            sock.settimeout(60)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect((lab.server.addr4, server.port))
            clients.append(sock)
        quiet = [0, time.monotonic()]

        def nothing_moves():
            now = sum(s["bytes_down"] for s in plait.cpe.ask("sessions")["sessions"])
            if now != quiet[0]:
                quiet[:] = [now, time.monotonic()]
            return time.monotonic() - quiet[1] > 0.5

        wait_until(nothing_moves, 30, "all readers to be stuck")
        for daemon in (plait.cpe, plait.conv):
            assert daemon.memory() < 150 * MIB
        got = sorted(task.result() for task in [Task(receive, client) for client in clients])
        assert got == sorted(server.result() for _ in clients)
        assert {size for size, _ in got} == {MIB}
        for client in clients:
            client.close()


def test_a_slow_reader_holds_nobody_up(lab, plait):
    with Server(lab.server, lambda conn: send(conn, 20 * MIB)) as slow, \
            connect(lab.host, lab.server.addr4, slow.port) as stuck, \
            Server(lab.server, lambda conn: send(conn, 4 * MIB)) as quick:
        for _ in range(4):
            with connect(lab.host, lab.server.addr4, quick.port) as client:
                assert receive(client) == quick.result()
        assert receive(stuck) == slow.result()
