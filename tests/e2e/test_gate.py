# SPDX-License-Identifier: ISC
"""The gates: peers that are no converters, converters that change, floods, and daemons that die."""

import os
import random
import shutil
import socket
import struct
import threading
import time

import pytest

import convert
from convert import connect as connect_tlv, echo as echo_tlv, message
from peer import (FASTOPEN_NO_COOKIE, MPTCP, Server, Task, ask, connect, outcome, receive, send,
                  to_end)
from plaitlab import wait_until
from plaitlab.daemons import Plait

SECRET = b"user data that nobody else may see"


@pytest.fixture
def sysctl(lab, request):
    """sysctl(ns, key, value), undone at the end."""
    def sysctl(ns, key, value):
        before = ns.sysctl(key)
        request.addfinalizer(lambda: ns.sysctl(key, before))
        ns.sysctl(key, value)
    return sysctl


def trust(plait):
    return plait.cpe.ask("converters")["converters"][0]["trust"]


def carries(plait, link="dsl"):
    return plait.cpe.ask("converters")["converters"][0]["links"][link]["carries"]


# ---- who is no converter

@pytest.mark.parametrize("handshake", ["faithful", "early"])
@pytest.mark.parametrize("kind", ["plain", "fast open"])
def test_innocent_server(lab, start, server, sysctl, kind, handshake):
    """Not one byte reaches it as stream data, of the message or of the user: the SYN may carry the
    message, behind it comes a RST. The LAN host does not notice."""
    sysctl(lab.conv, "net.ipv4.tcp_fastopen", 3)

    def setup(sock):
        if kind == "fast open":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)

    with Server(lab.conv, to_end, port=5124, setup=setup) as innocent, \
            lab.capture("conv", "eth0", "tcp port 5124") as cap:
        plait = start(cpe={"handshake": handshake}, with_conv=False)
        for _ in range(2):
            assert ask(lab.host, lab.server.addr4, server.port, SECRET) == SECRET.upper()
            assert server.peers[-1] == lab.host.addr4
        assert innocent.peers == []
    assert trust(plait) == "distrusted"
    sent = cap.tshark(["tcp.flags", "tcp.len", "tcp.payload"], f"ip.dst == {lab.conv.addr4}")
    assert sent and all(int(row["tcp.flags"], 16) & 2 or row["tcp.len"] == "0" for row in sent)
    assert SECRET.hex() not in "".join(row["tcp.payload"].replace(":", "") for row in sent)


def test_proven_converter_without_fast_open(lab, start, server, sysctl):
    """Its kernel takes no data from SYNs any more: it is asked by stream bytes, MPTCP stays, and it is
    given the SYN's data again later."""
    plait = start(cpe={"distrust_ttl": 2})
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    sysctl(lab.conv, "net.ipv4.tcp_fastopen", 1)
    for _ in range(2):
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert carries(plait) == "stream only"
    assert plait.cpe.counter("syn_refused") == 1
    lab.conv.sysctl("net.ipv4.tcp_fastopen", 3)
    wait_until(lambda: carries(plait) == "all", 10, "the CPE to forget")
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    counters = plait.cpe.status()["counters"]
    assert (counters["converted"], counters["direct"], counters["tcp_fallback"]) == (4, 0, 0)
    assert plait.conv.counter("in_syn_ack") == 2


def test_converter_of_another_make(lab, start, server, sysctl):
    """It knows no Echo TLV and answers in the stream: asked without one from then on."""
    sysctl(lab.conv, "net.ipv4.tcp_fastopen", 3)
    seen = []

    def established(conn):      # what MPTCP is told to write before the third ACK, it never sends
        return conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1

    def other_make(conn):
        data = convert.read(conn)
        wait_until(lambda: established(conn), 5, "the third ACK")
        m = convert.Message(data)
        seen.append(m.kinds)
        if convert.ECHO in m.kinds:
            conn.sendall(message(convert.error(convert.UNSUPPORTED_MESSAGE, data)))
            return
        with connect(lab.conv, *m.server()) as upstream:
            conn.sendall(message(convert.tlv(convert.EXTENDED_HEADER, b"\0\0")))
            upstream.sendall(to_end(conn))
            upstream.shutdown(socket.SHUT_WR)
            conn.sendall(to_end(upstream))

    def setup(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        sock.setsockopt(socket.IPPROTO_TCP, FASTOPEN_NO_COOKIE, 1)

    with Server(lab.conv, other_make, port=5124, proto=MPTCP, setup=setup):
        plait = start(with_conv=False)
        for _ in range(2):
            assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
            assert server.peers[-1] == lab.conv.addr4
    assert seen == [[convert.CONNECT, convert.ECHO], [convert.CONNECT], [convert.CONNECT]]
    assert plait.cpe.counter("converted") == 2


@pytest.mark.parametrize("handshake", ["faithful", "early"])
def test_a_refusal_leaves_nothing_behind(lab, start, handshake):
    """The converter's half-open connection ends at once: its SYN/ACK is not repeated."""
    plait = start(cpe={"handshake": handshake})
    with lab.capture("conv", "eth0", "tcp port 5124") as cap:
        for _ in range(3):
            outcome(lab.host, lab.server.addr4, 9)
            time.sleep(0.1)
        wait_until(lambda: plait.conv.status()["sessions"] == 0, 0.8, "the refused sessions to end")
        time.sleep(1.2)
    assert len(cap.tshark(["ip.src"], "tcp.flags == 0x12")) == 3
    assert plait.cpe.counter("refused_by_server") == 3


# ---- without queues

@pytest.mark.parametrize("who", ["cpe", "converter", "both"])
@pytest.mark.parametrize("how", ["off", "missing"])
def test_without_gate(lab, request, server, who, how):
    """It is said at the start, and everything works, with answers in the stream."""
    keys = {"gate": "off"} if how == "off" else {}
    plait = Plait(lab, start=False, cpe=keys if who != "converter" else {}, conv=keys if who != "cpe" else {})
    request.addfinalizer(plait.stop)
    daemons = [d for d, name in ((plait.cpe, "cpe"), (plait.conv, "converter")) if who in (name, "both")]
    if how == "missing":
        for daemon in daemons:
            daemon.without = [shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
                              for name in ("iptables-restore", "ip6tables-restore")]
    plait.conv.start()
    plait.cpe.start()
    if "by nftables" in plait.cpe.log() + plait.conv.log():
        pytest.skip("this kernel's nftables has the queue statement, which cannot be hidden")
    for daemon in daemons:
        assert "gate: off" in daemon.log() if how == "off" else "no SYN/ACK gate (" in daemon.log()
    for _ in range(2):
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert server.peers[-1] == lab.conv.addr4
    counters = plait.cpe.status()["counters"]
    assert (counters["converted"], counters["tcp_fallback"]) == (2, 0)
    assert plait.conv.counter("in_syn_ack") == 0
    said = outcome(lab.host, lab.server.addr4, 9)[0]
    assert said == ("ECONNREFUSED" if who == "converter" else "open")   # held, or not
    assert plait.stop() == [0, 0]


# ---- daemons that die while something is held

def slow(lab, ms):
    lab.link["core"].set(down={"delay": ms})


def test_the_cpe_dies_while_a_handshake_is_held(lab, start, server, request):
    """The LAN host's SYN, said again, goes its way by plain forwarding: the same connect() succeeds."""
    request.addfinalizer(lambda: slow(lab, 5))
    plait = start()
    slow(lab, 800)
    answer = Task(ask, lab.host, lab.server.addr4, server.port)
    wait_until(lambda: plait.cpe.status()["sessions"] == 1, 5, "the session")
    plait.cpe.kill()
    slow(lab, 5)
    assert answer.result() == b"HELLO"
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers[-2:] == [lab.host.addr4] * 2
    plait.cpe.start()
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers[-1] == lab.conv.addr4


def test_the_converter_dies_while_a_handshake_is_held(lab, start, server, request):
    """That connection goes direct, and so do the next ones."""
    request.addfinalizer(lambda: slow(lab, 5))
    plait = start()
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    slow(lab, 800)
    answer = Task(ask, lab.host, lab.server.addr4, server.port)
    wait_until(lambda: plait.conv.status()["sessions"] == 1, 5, "the session")
    plait.conv.kill()
    slow(lab, 5)
    assert answer.result() == b"HELLO"
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers[-1] == lab.host.addr4


# ---- repeated and hostile packets

def test_a_nonce_works_once(lab, start, server):
    """A SYN that somebody recorded: refused, whatever it carries; the server hears nothing of it."""
    plait = start()
    request = message(connect_tlv(lab.server.addr4, server.port), echo_tlv()) + b"early"
    said = []
    for _ in range(2):
        with lab.cpe.socket(socket.AF_INET, proto=MPTCP) as sock:
            sock.settimeout(10)
            sock.setsockopt(socket.IPPROTO_TCP, FASTOPEN_NO_COOKIE, 1)
            sock.sendto(request, socket.MSG_FASTOPEN, (lab.conv.addr4, 5124))
            said.append(convert.Message(convert.read(sock)))
            if len(said) == 1:
                sock.shutdown(socket.SHUT_WR)
                assert to_end(sock) == b"EARLY"
    assert said[1].kinds[0] == convert.ERROR and said[1].error()[0] == convert.NOT_AUTHORIZED
    assert len(server.peers) == 1
    assert plait.conv.counter("replayed") == 1


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Forger:
    """SYN/ACKs that are wrong in every way, from the converter's address and port."""

    def __init__(self, lab, seed):
        self.rng = random.Random(seed)
        self.lab = lab
        self.ports = []         # those that the CPE uses at the moment
        self.sock = lab.conv.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self.gateway = bytes.fromhex("".join(
            lab.conv.run("ip neigh show 198.51.100.1").stdout.split("lladdr ")[1].split()[0].split(":")))

    def options(self):
        kind = self.rng.randrange(8)
        random_bytes = self.rng.randbytes(self.rng.randrange(41))
        return [b"", random_bytes, b"\x02\x04\x05\xb4", b"\x1e\x0c\x01\x81" + self.rng.randbytes(8),
                b"\x1e\x04\x01\x81", b"\x02\x00", b"\x08\x28" + random_bytes[:38], b"\x1e\xff\x00"][kind]

    def tcp(self, src, dst):
        rng = self.rng
        port = rng.choice(self.ports) if self.ports and rng.random() < 0.7 else rng.randrange(1024, 65536)
        options = self.options()
        options += bytes(-len(options) % 4)
        offset = 5 + len(options) // 4 if rng.random() < 0.8 else rng.randrange(16)
        flags = 0x12 if rng.random() < 0.8 else rng.randrange(256) | 0x12
        payload = rng.choice([b"", rng.randbytes(rng.randrange(200)), message(connect_tlv("192.0.2.1", 80)),
                              message(echo_tlv(), words=rng.randrange(256)), b"\x01\xff\x22\x63" * 30])
        head = lambda check: struct.pack("!HHIIBBHHH", 5124, port, rng_seq, rng_ack, (offset & 15) << 4, flags,
                                         1000, check, 0) + options + payload
        rng_seq, rng_ack = rng.getrandbits(32), rng.getrandbits(32)
        body = head(0)
        pseudo = src + dst + struct.pack("!II" if len(src) == 16 else "!BBH", *(
            (len(body), 6) if len(src) == 16 else (0, 6, len(body))))
        body = head(checksum(pseudo + body) ^ (rng.random() < 0.1))
        return body[:rng.randrange(len(body))] if rng.random() < 0.1 else body

    def v4(self):
        rng = self.rng
        src, dst = socket.inet_aton(self.lab.conv.addr4), socket.inet_aton(self.lab.wan[0].cpe_addr4)
        body = self.tcp(src, dst)
        fragment = rng.choice([0] * 8 + [0x2000, 0x2001, 5])
        options = rng.choice([b""] * 6 + [b"\x01" * 4, b"\x07\x27" + bytes(38)])
        head = lambda check: struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0,
                                         20 + len(options) + len(body), rng_id, fragment, 64, 6, check, src,
                                         dst) + options
        rng_id = rng.getrandbits(16)
        return head(checksum(head(0))) + body

    def v6(self):
        rng = self.rng
        src = socket.inet_pton(socket.AF_INET6, self.lab.conv.addr6)
        dst = socket.inet_pton(socket.AF_INET6, self.lab.wan[0].cpe_addr6)
        body, following = self.tcp(src, dst), 6
        for _ in range(rng.randrange(4)):
            kind = rng.choice([0, 43, 44, 60, 51, 135])
            size = rng.choice([0, 0, 1, 3, 200])
            ext = struct.pack("!BB", following, 0 if kind == 44 else size) + rng.randbytes(6)
            body, following = ext + (bytes(8 * size) if kind != 44 and size < 4 else b"") + body, kind
        return struct.pack("!IHBB16s16s", 6 << 28, len(body), following, 64, src, dst) + body

    def send(self, n):
        for _ in range(n):
            v6 = self.rng.random() < 0.4
            packet = (self.v6() if v6 else self.v4())[:1500]
            try:
                self.sock.sendto(packet, ("eth0", 0x86dd if v6 else 0x0800, 0, 0, self.gateway))
            except OSError:
                pass            # the queue is full for a moment


def cpe_ports(lab):
    """Ports of the CPE's connections to the converter, those in their handshake too."""
    said = lab.cpe.run("ss -tnH state all dport = :5124").stdout
    return [int(line.split()[3].rsplit(":", 1)[1]) for line in said.splitlines()]


def test_ten_thousand_hostile_syn_acks(lab, start, server):
    """Nothing crashes, grows, or ends; connections are made meanwhile, and what is foreign is untouched."""
    plait = start()
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    forger = Forger(lab, seed)
    foreign = connect(lab.cpe, lab.conv.addr4, 5124)        # a connection of the CPE's own, with an Info TLV
    bulk = Server(lab.server, lambda conn: send(conn, 20 << 20))
    stop = threading.Event()

    def go_on():
        n = 0
        while not stop.is_set():
            assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
            n += 1
        return n

    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    before = plait.cpe.memory()
    with bulk, connect(lab.host, lab.server.addr4, bulk.port) as client:
        downloads, asking = Task(receive, client), [Task(go_on) for _ in range(4)]
        for _ in range(50):
            forger.ports = cpe_ports(lab)
            forger.send(200)
        stop.set()
        assert sum(task.result() for task in asking) > 4
        assert downloads.result() == bulk.result()
    with foreign:
        foreign.sendall(message(convert.info()))
        assert convert.Message(convert.read(foreign)).kinds[0] in (convert.SUPPORTED, convert.INFO)
    # A sanitizer keeps what was freed for a while, and tells of leaks by itself.
    assert plait.cpe.memory() < before + ((64 if "ASAN_OPTIONS" in os.environ else 8) << 20)
    counters = plait.cpe.status()["counters"]
    assert counters["answer_wrong"] == counters["tcp_fallback"] == 0
    assert trust(plait) == "usable"
    assert set(server.peers) == {lab.conv.addr4}
    plait.idle(60)
    assert plait.stop() == [0, 0]


# ---- floods at the converter

def half_open(lab, n, server):
    """SYNs with a good message from made-up addresses of the WAN's network, and nothing behind them."""
    sock = lab.net.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    mac = bytes.fromhex(lab.conv.run("cat /sys/class/net/eth0/address").stdout.strip().replace(":", ""))
    dst = socket.inet_aton(lab.conv.addr4)
    for i in range(n):
        src = bytes([10, 21, i >> 8 & 255, i & 255])
        payload = message(connect_tlv(lab.server.addr4, server.port), echo_tlv())
        body = lambda check: struct.pack("!HHIIBBHHH", 20000 + i % 40000, 5124, i, 0, 0x50, 2, 65535, check,
                                         0) + payload
        length = len(body(0))
        tcp = body(checksum(src + dst + struct.pack("!BBH", 0, 6, length) + body(0)))
        head = lambda check: struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, check, src, dst)
        sock.sendto(head(checksum(head(0))) + tcp, ("conv", 0x0800, 0, 0, mac))
    sock.close()


def test_half_open_flood(lab, start, server, sysctl):
    """More than there is room for. Connections are made meanwhile; nothing is left of it."""
    sysctl(lab.conv, "net.ipv4.tcp_synack_retries", 1)
    plait = start(conv={"clients": ["10.20.0.0/16", "10.21.0.0/16"]})
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    half_open(lab, 6000, server)
    for _ in range(5):
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    counters = plait.cpe.status()["counters"]
    assert counters["answer_wrong"] == counters["refused"] == 0
    wait_until(lambda: plait.conv.status()["sessions"] == 0, 60, "every half-open connection to end")
    held = lab.conv.run("cat /proc/net/netfilter/nfnetlink_queue").stdout.split()
    assert held[2] == "0"                   # packets that wait in the queue
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert plait.stop() == [0, 0]


def test_syn_cookies(lab, start, server, sysctl):
    """A converter that sends cookies takes no data from SYNs: as stream bytes then, still by MPTCP."""
    plait = start()
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    sysctl(lab.conv, "net.ipv4.tcp_syncookies", 2)
    for _ in range(3):
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    counters = plait.cpe.status()["counters"]
    assert (counters["converted"], counters["direct"], counters["tcp_fallback"]) == (4, 0, 0)
    assert carries(plait) == "stream only"


def test_more_than_a_thousand_at_once(lab, start, request):
    """Descriptors beyond 1,024: what uses select() must not see them; and the daemons end well."""
    for ns in lab.namespaces.values():
        ns.sysctl("net.core.somaxconn", 4096)
    plait = start()
    clients = []
    request.addfinalizer(lambda: [client.close() for client in clients])
    with Server(lab.server, to_end, timeout=120) as many:
        for _ in range(1100):
            clients.append(connect(lab.host, lab.server.addr4, many.port))
        wait_until(lambda: plait.cpe.status()["sessions"] == 1100, 20, "all sessions")
        # Without a converter interception is switched off, and on again: rules change meanwhile.
        plait.conv.kill()
        assert outcome(lab.host, lab.server.addr4, many.port)[0] == "open"
        plait.conv.start()
        wait_until(lambda: "answers again" in plait.cpe.log(), 30, "the probe to find it")
        assert outcome(lab.host, lab.server.addr4, many.port)[0] == "open"
    assert plait.stop() == [0, 0]
