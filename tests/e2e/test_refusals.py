# SPDX-License-Identifier: ISC
"""Servers that refuse, cannot be reached, or are silent for a while: connect() says so."""

import contextlib
import socket

import pytest

from peer import Server, Task, connect, outcome, to_end, upper
from plaitlab import wait_until


@pytest.fixture(autouse=True)
def nothing_left(plait):
    yield
    plait.idle()


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
    assert outcome(lab.host, getattr(lab.server, "addr" + family), 9)[0] == "ECONNREFUSED"
    after = plait.used()
    assert after["cpe.refused_by_server"] == before["cpe.refused_by_server"] + 1
    assert after["conv.refused_by_server"] == before["conv.refused_by_server"] + 1
    assert after["cpe.direct"] == 0         # the server's word counts: it is not tried another way


@pytest.mark.parametrize("family, reject, error", [
    ("4", "icmp host-unreachable", "EHOSTUNREACH"), ("4", "icmp net-unreachable", "ENETUNREACH"),
    ("4", "icmp admin-prohibited", "EHOSTUNREACH"), ("4", "icmp port-unreachable", "ECONNREFUSED"),
    ("6", "icmpv6 addr-unreachable", "EHOSTUNREACH"), ("6", "icmpv6 admin-prohibited", "EACCES"),
    ("6", "icmpv6 no-route", "ENETUNREACH"), ("6", "icmpv6 port-unreachable", "ECONNREFUSED")])
def test_unreachable_by_icmp(lab, plait, family, reject, error):
    """The LAN host gets the ICMP message that the converter got."""
    before = plait.conv.counter("refused_by_server")
    with rule(lab.net, f"tcp dport 4444 reject with {reject}"):
        assert outcome(lab.host, getattr(lab.server, "addr" + family), 4444)[0] == error
    assert plait.conv.counter("refused_by_server") == before + 1


def test_no_route_to_the_server(lab, plait):
    """The converter's own kernel knows none."""
    lab.conv.run(["ip", "route", "add", "unreachable", "192.0.2.0/24"])
    assert outcome(lab.host, "192.0.2.1", 80)[0] == "EHOSTUNREACH"


def test_silent_then_accepting_server(lab, plait):
    """The converter says PENDING when the CPE's patience is over, and the verdict when there is one; the
    LAN host is answered then. That it asks again meanwhile begins nothing twice."""
    before = plait.conv.counter("pending")
    with Server(lab.server, upper) as server, \
            lab.capture("host", "eth0", "tcp") as cap, \
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
        wait_until(lambda: len(cap.tshark(["ip.id"], "tcp.flags.syn == 1")) > 1, 10, "a repeated SYN")
        assert cap.tshark(["ip.id"], "tcp.flags.ack == 1") == []
        assert plait.cpe.status()["sessions"] == plait.conv.status()["sessions"] == 1
        remove()
        assert answer.result() == b"PATIENCE"
        assert len(server.peers) == 1
    assert plait.cpe.counter("tcp_fallback") == 0


def test_silent_then_refusing_server(lab, plait):
    before = plait.conv.counter("pending")
    with rule(lab.net, "tcp dport 4445 drop") as remove:
        said = Task(outcome, lab.host, lab.server.addr4, 4445)
        wait_until(lambda: plait.conv.counter("pending") == before + 1, 10, "PENDING")
        remove()
        assert said.result()[0] == "ECONNREFUSED"
    assert plait.cpe.counter("answer_missing") == plait.cpe.counter("direct") == 0


def test_lan_host_gives_up_on_a_silent_server(lab, plait):
    """Its kernel says nothing of that. What began for it ends when the converter's kernel gives the
    server up."""
    usual = lab.conv.sysctl("net.ipv4.tcp_syn_retries")
    lab.conv.sysctl("net.ipv4.tcp_syn_retries", 2)
    try:
        with rule(lab.net, "tcp dport 4446 drop"):
            assert outcome(lab.host, lab.server.addr4, 4446, timeout=1)[0] == "no answer"
            wait_until(lambda: plait.conv.status()["sessions"], 10, "the session")
            plait.idle()
    finally:
        lab.conv.sysctl("net.ipv4.tcp_syn_retries", usual)


def test_silent_server(lab, plait):
    """Silence is answered by silence, for as long as the LAN host asks; what waits is bounded: the
    converter's kernel gives the server up, which is told not to take long here."""
    usual = lab.conv.sysctl("net.ipv4.tcp_syn_retries")
    lab.conv.sysctl("net.ipv4.tcp_syn_retries", 1)
    try:
        with rule(lab.net, "tcp dport 4447 drop"), lab.capture("host", "eth0", "tcp or icmp") as cap:
            assert outcome(lab.host, lab.server.addr4, 4447, timeout=8)[0] == "no answer"
        assert cap.tshark(["ip.id"], "tcp.flags.ack == 1 || tcp.flags.reset == 1 || icmp") == []
    finally:
        lab.conv.sysctl("net.ipv4.tcp_syn_retries", usual)
    assert plait.cpe.counter("answer_missing") == plait.cpe.counter("direct") == 0
