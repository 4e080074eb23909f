# SPDX-License-Identifier: ISC
"""Servers that refuse, cannot be reached, or are silent for a while."""

import contextlib
import socket

import pytest

from peer import Server, Task, connect, exactly, to_end, upper
from plaitlab import wait_until


@pytest.fixture(autouse=True)
def nothing_left(plait):
    yield
    plait.idle()


def is_refused(ns, address, port, timeout=60):
    """Whether the connection is reset. The CPE answers its SYN before it knows."""
    with pytest.raises(ConnectionResetError):
        with connect(ns, address, port, timeout=timeout) as client:
            exactly(client, 1)
    return True


@contextlib.contextmanager
def rule(ns, text):
    """An nft rule for what is forwarded in `ns`; a function that removes it comes out."""
    ns.run(["nft", f"add table inet t; add chain inet t f {{ type filter hook forward priority 0; }}; "
                   f"add rule inet t f {text}"])
    there = [True]

    def remove():
        if there:
            there.clear()
            ns.run(["nft", "delete table inet t"])

    try:
        yield remove
    finally:
        remove()


@pytest.mark.parametrize("family", ["4", "6"])
def test_refused(lab, plait, family):
    before = plait.used()
    assert is_refused(lab.host, getattr(lab.server, "addr" + family), 9)
    after = plait.used()
    assert after["cpe.refused_by_server"] == before["cpe.refused_by_server"] + 1
    assert after["conv.refused_by_server"] == before["conv.refused_by_server"] + 1
    assert after["cpe.direct"] == 0         # the server's word counts: it is not tried another way


def test_refused_while_the_lan_host_sends(lab, plait):
    with connect(lab.host, lab.server.addr4, 9) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                client.sendall(bytes(10000))


@pytest.mark.parametrize("family, reject", [
    ("4", "icmp host-unreachable"), ("4", "icmp admin-prohibited"), ("4", "icmp port-unreachable"),
    ("6", "icmpv6 addr-unreachable"), ("6", "icmpv6 admin-prohibited"), ("6", "icmpv6 no-route")])
def test_unreachable_by_icmp(lab, plait, family, reject):
    before = plait.conv.counter("refused_by_server")
    with rule(lab.net, f"tcp dport 4444 reject with {reject}"):
        assert is_refused(lab.host, getattr(lab.server, "addr" + family), 4444)
    assert plait.conv.counter("refused_by_server") == before + 1


def test_no_route_to_the_server(lab, plait):
    """The converter's own kernel knows none."""
    lab.conv.run(["ip", "route", "add", "unreachable", "192.0.2.0/24"])
    assert is_refused(lab.host, "192.0.2.1", 80)


def test_silent_then_accepting_server(lab, plait):
    """The converter says PENDING when the CPE's patience is over, and the verdict when there is one."""
    before = plait.conv.counter("pending")
    with Server(lab.server, upper) as server, \
            rule(lab.net, f"ip saddr {lab.conv.addr4} tcp dport {server.port} drop") as remove:
        def ask():
            with connect(lab.host, lab.server.addr4, server.port) as client:
                client.sendall(b"patience")
                client.shutdown(socket.SHUT_WR)
                return to_end(client)

        answer = Task(ask)
        wait_until(lambda: plait.conv.counter("pending") == before + 1, 10, "PENDING")
        wait_until(lambda: [s["state"] for s in plait.cpe.ask("sessions")["sessions"]] == ["pending"],
                   10, "PENDING at the CPE")
        remove()
        assert answer.result() == b"PATIENCE"
    assert plait.cpe.counter("tcp_fallback") == 0


def test_silent_then_refusing_server(lab, plait):
    before = plait.conv.counter("pending")
    with rule(lab.net, "tcp dport 4445 drop") as remove:
        refused = Task(is_refused, lab.host, lab.server.addr4, 4445)
        wait_until(lambda: plait.conv.counter("pending") == before + 1, 10, "PENDING")
        remove()
        assert refused.result()
    assert plait.cpe.counter("answer_missing") == plait.cpe.counter("direct") == 0


def test_lan_host_gives_up_on_a_silent_server(lab, plait):
    before = plait.conv.counter("client_gone")
    with rule(lab.net, "tcp dport 4446 drop"):
        client = connect(lab.host, lab.server.addr4, 4446)
        wait_until(lambda: plait.conv.status()["sessions"], 10, "the session")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        plait.idle()
    assert plait.conv.counter("client_gone") == before + 1


def test_silent_server(lab, plait):
    """It is given up when the converter's kernel does, which is told not to take long."""
    usual = lab.conv.sysctl("net.ipv4.tcp_syn_retries")
    lab.conv.sysctl("net.ipv4.tcp_syn_retries", 1)
    try:
        with rule(lab.net, "tcp dport 4447 drop"):
            assert is_refused(lab.host, lab.server.addr4, 4447)
    finally:
        lab.conv.sysctl("net.ipv4.tcp_syn_retries", usual)
    assert plait.cpe.counter("answer_missing") == plait.cpe.counter("direct") == 0
