# SPDX-License-Identifier: ISC
"""`handshake = faithful`: the LAN host's connect() ends when, and as, it would without plait."""

import re
import socket

import pytest

import convert
from convert import Message
from peer import Server, Task, connect, exactly, outcome, to_end, upper
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait

FILTERED, UNREACHABLE = 4001, 4002
SLOW = [300, 1500, 5000]        # ms that servers 2, 3 and 4 take to answer
ROUND_TRIP = 0.030              # s, of access and core together

OPEN_PORTS, CLOSED_PORTS, FILTERED_PORTS = range(6001, 6011), range(6101, 6111), range(6201, 6211)


@pytest.fixture(scope="module")
def lab():
    links = [Link("dsl", rate=100, delay=10), Link("lte", rate=80, delay=15)]
    with Lab(links, core_delay=5, servers=1 + len(SLOW)) as lab:
        for n, ms in enumerate(SLOW, 2):
            lab.link[f"core{n}"].set(down={"delay": ms})
        filtered = ", ".join(map(str, [FILTERED, *FILTERED_PORTS]))
        lab.net.run(["nft", "-f", "-"], input=f"""\
table inet t {{
    chain f {{
        type filter hook forward priority 0
        tcp dport {{ {filtered} }} drop
        meta nfproto ipv4 tcp dport {UNREACHABLE} reject with icmp host-unreachable
        meta nfproto ipv6 tcp dport {UNREACHABLE} reject with icmpv6 addr-unreachable
    }}
}}
""")
        yield lab


def all_kinds(lab, family, port):
    """Connect to servers of every kind at once: {kind: (outcome, s)}."""
    address = lambda ns: getattr(ns, "addr" + family)
    first = address(lab.server)
    tasks = {
        "open": Task(outcome, lab.host, first, port),
        "closed": Task(outcome, lab.host, first, 9),
        "filtered": Task(outcome, lab.host, first, FILTERED, timeout=8),
        "unreachable (ICMP)": Task(outcome, lab.host, first, UNREACHABLE),
        **{f"slow: {ms / 1000:g} s": Task(outcome, lab.host, address(server), port)
           for ms, server in zip(SLOW, lab.servers[1:])},
    }
    return {kind: task.result() for kind, task in tasks.items()}


@pytest.mark.parametrize("family", ["4", "6"])
def test_as_without_plait(lab, family, ends, table):
    """Side by side: the same words, at about the same time; each server sees one connection."""
    servers = [Server(lab.servers[0], lambda conn: None)]
    servers += [Server(ns, lambda conn: None, port=servers[0].port) for ns in lab.servers[1:]]
    try:
        direct = all_kinds(lab, family, servers[0].port)
        for server in servers:
            server.peers.clear()
        plait = ends(Plait(lab))
        ours = all_kinds(lab, family, servers[0].port)
    finally:
        for server in servers:
            server.close()
    table(f"connect() over IPv{family}", ["server", "direct", "ms", "through plait", "ms"],
          [[kind, direct[kind][0], f"{direct[kind][1] * 1000:.0f}",
            ours[kind][0], f"{ours[kind][1] * 1000:.0f}"] for kind in direct])
    for kind in direct:
        assert ours[kind][0] == direct[kind][0], kind
        assert ours[kind][1] > direct[kind][1] - ROUND_TRIP, kind      # never before it knows
        # Generous: far below a repetition of a SYN, which would say that one was lost on the way.
        assert ours[kind][1] < direct[kind][1] + 0.5, kind
    assert [direct[kind][0] for kind in direct] == [
        "open", "ECONNREFUSED", "no answer", "EHOSTUNREACH", "open", "open", "open"]
    converter = getattr(lab.conv, "addr" + family)
    assert [server.peers for server in servers] == [[converter]] * len(servers)
    counters = plait.cpe.status()["counters"]
    assert counters["converted"] == 4 and counters["direct"] == counters["tcp_fallback"] == 0


def scan(lab):
    """What nmap's connect() scan says of the server's ports."""
    ports = ",".join(f"{r[0]}-{r[-1]}" for r in (OPEN_PORTS, CLOSED_PORTS, FILTERED_PORTS))
    said = lab.host.run(["nmap", "-n", "-Pn", "-sT", "--max-retries", "1", "-oG", "-", "-p", ports,
                         lab.server.addr4], timeout=120).stdout
    return {int(port): state for port, state in re.findall(r"(\d+)/(\w+)/tcp", said)}


def test_a_scan_sees_the_same_ports(lab, ends):
    servers = [Server(lab.server, lambda conn: None, port=port) for port in OPEN_PORTS]
    try:
        direct = scan(lab)
        plait = ends(Plait(lab))
        ours = scan(lab)
    finally:
        for server in servers:
            server.close()
    expected = {**{p: "open" for p in OPEN_PORTS}, **{p: "closed" for p in CLOSED_PORTS},
                **{p: "filtered" for p in FILTERED_PORTS}}
    assert direct == expected
    assert ours == expected
    assert plait.cpe.counter("refused_by_server") >= len(CLOSED_PORTS)


def test_on_every_wire(lab, ends):
    """One connection, captured at the LAN, both WANs and the server."""
    ends(Plait(lab))
    with Server(lab.server, upper) as server, \
            lab.capture("host", "eth0", "tcp") as lan, lab.capture("net", "dsl", "tcp") as dsl, \
            lab.capture("net", "lte", "tcp") as lte, lab.capture("server", "eth0", "tcp") as behind:
        with connect(lab.host, lab.server.addr4, server.port) as client:
            client.sendall(b"word")
            wait_until(lambda: lte.tshark(["ip.id"], "tcp.flags.syn == 0 && tcp.option_kind == 30"), 10,
                       "the second subflow to be established")
            client.shutdown(socket.SHUT_WR)
            assert to_end(client) == b"WORD"
    fields = ["frame.time_epoch", "ip.src", "tcp.flags", "tcp.payload", "tcp.options.mptcp.subtype"]
    syn, syn_ack, third, *rest = dsl.tshark(fields)
    when = lambda row: float(row["frame.time_epoch"])

    # First link: the SYN with the message, the SYN/ACK with the echo, MP_CAPABLE in all three.
    asked, answered = (Message(bytes.fromhex(row["tcp.payload"].replace(":", ""))) for row in (syn, syn_ack))
    assert [int(row["tcp.flags"], 16) for row in (syn, syn_ack, third)] == [0x02, 0x12, 0x10]
    assert {row["tcp.options.mptcp.subtype"] for row in (syn, syn_ack, third)} == {"0"}
    assert asked.server() == (lab.server.addr4, server.port)
    assert answered.value(convert.CONNECT) == asked.value(convert.CONNECT)      # bit for bit
    assert answered.echo()[2] == asked.echo()[2]
    assert asked.rest == answered.rest == b""
    assert third["tcp.payload"] == ""
    # The SYN/ACK came when the server had answered: access and core, not the access alone.
    assert when(syn_ack) - when(syn) > 0.009

    # Second link: a join, without a byte in its handshake.
    joins = lte.tshark([*fields, "tcp.len"], "tcp.flags.syn == 1")
    assert [(row["tcp.options.mptcp.subtype"], row["tcp.len"]) for row in joins] == [("1", "0")] * 2
    # Data bear a DSS, the very first ones MP_CAPABLE in its place (RFC 8684 3.1).
    data = [row["tcp.options.mptcp.subtype"] for cap in (dsl, lte)
            for row in cap.tshark(fields, "tcp.len > 0 && tcp.flags.syn == 0")]
    assert set(data) <= {"0", "2"} and data.count("0") <= 1 and "2" in data

    # At the server: the SYN before anything else came upstream; plain TCP, and nothing but the word.
    said = behind.tshark([*fields, "tcp.option_kind"], f"ip.src == {lab.conv.addr4}")
    assert when(said[0]) < when(third)
    assert all("30" not in row["tcp.option_kind"].split(",") for row in said)
    assert "".join(row["tcp.payload"].replace(":", "") for row in said) == b"word".hex()

    # At the LAN host: its SYN/ACK came after the converter's.
    shake = lan.tshark(fields, "tcp.flags.syn == 1")
    assert len(shake) == 2 and when(shake[1]) > when(syn_ack)
    down = lan.tshark(fields, f"ip.src == {lab.server.addr4}")
    assert "".join(row["tcp.payload"].replace(":", "") for row in down) == b"WORD".hex()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_lan_host_gives_up_in_the_middle(lab, ends, how):
    """While its SYN/ACK is held its kernel is silent; once it is let go, the LAN host's RST goes on to
    the server, and nothing is left."""
    plait = ends(Plait(lab))
    ns, port = lab.servers[2], 6500        # answers after 1.5 s
    with Server(ns, lambda conn: exactly(conn, 1), port=port) as server:
        client = lab.host.socket(socket.AF_INET)
        client.setblocking(False)
        client.connect_ex((ns.addr4, port))
        wait_until(lambda: plait.cpe.status()["sessions"] == 1, 5, "the session")
        if how == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        plait.idle(30)
        if server.peers:
            with pytest.raises(ConnectionResetError):
                server.result(10)
    assert plait.cpe.counter("converted") == 0
