# SPDX-License-Identifier: ISC
"""The lab is what the other tests stand on: links behave as told, and nothing of it stays behind."""

import glob
import hashlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from plaitlab import Lab, LabError, Link, MTU, clean, wait_until

LAB_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lab")
# Of a full frame with its check sequence (1518), what TCP with time stamps carries of it.
PAYLOAD_SHARE = 1448 / 1518
MPTCP = 262
MESSAGE = b"first bytes, in the SYN"


@pytest.fixture(scope="module")
def lab():
    links = [Link("dsl", rate=50, delay=15), Link("lte", rate=30, delay=30), Link("free")]
    with Lab(links, core_delay=5) as lab:
        yield lab


@pytest.fixture(autouse=True)
def every_link_is_as_it_was(request):
    """Switch off what a test switched on."""
    yield
    if "lab" not in request.fixturenames:
        return
    lab = request.getfixturevalue("lab")
    lab.direct(None)
    for wan in lab.wan:
        for mode in lab.link[wan.name].stats()["up"]["modes"] + lab.link[wan.name].stats()["down"]["modes"]:
            lab.link[wan.name].mode(mode, False)


def median_rtt(ns, address):
    rtts = ns.ping(address, 15)
    assert None not in rtts
    return statistics.median(rtts)


def send_bytes(sock, size):
    """Send zeros and end the stream. Not from one big buffer: the kernel clears its memory without
    letting anyone else run, the link emulators included."""
    piece = bytes(65536)
    for _ in range(size // len(piece)):
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)


def transfer(lab, size, address, up=False):
    """Carry bytes between server and host; Mbit/s of payload in the later half."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    marks = []
    with lab.server.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, 5001))
        listener.listen()
        with lab.host.socket(family) as client:
            client.connect((address, 5001))
            server = listener.accept()[0]
            source, sink = (client, server) if up else (server, client)
            thread = threading.Thread(target=send_bytes, args=(source, size))
            thread.start()
            total, buffer = 0, bytearray(65536)
            while got := sink.recv_into(buffer):
                total += got
                marks.append((time.monotonic(), total))
            thread.join()
            server.close()
    assert total == size
    (start, before), (end, after) = next(m for m in marks if m[1] >= size / 2), marks[-1]
    return (after - before) * 8 / (end - start) / 1e6


# ---- delay and rate

def has_rtt(host, address, expected):
    """The round trip is within 1 ms of what is set, and never less; a busy machine gets time for it."""
    def measured():
        rtt = median_rtt(host, address)
        assert rtt >= expected
        return rtt < expected + 1
    wait_until(measured, 15, f"a round trip of {expected} to {expected + 1} ms to {address}")


@pytest.mark.parametrize("link, delay", [("dsl", 15), ("lte", 30), ("free", 0)])
@pytest.mark.parametrize("family", ["4", "6"])
def test_delay(lab, link, delay, family):
    lab.direct(link)
    has_rtt(lab.host, getattr(lab.conv, "addr" + family), 2 * delay)
    has_rtt(lab.host, getattr(lab.server, "addr" + family), 2 * (delay + 5))


def test_delay_under_load(lab):
    """The other link's echo is not late while one link is full."""
    lab.link["lte"].reset()
    rtts = []
    thread = threading.Thread(target=transfer, args=(lab, 8 << 20, lab.server.addr4))
    thread.start()
    wan = lab.wan[1]
    while thread.is_alive():
        rtts += lab.cpe.ping(wan.net_addr4, 10)
    thread.join()
    assert None not in rtts
    assert 60 <= statistics.median(rtts) < 61


def test_settings_change_while_running(lab):
    lab.direct("free")
    free = lab.link["free"]
    free.set(up={"delay": 10}, down={"delay": "25ms"})
    try:
        has_rtt(lab.host, lab.conv.addr4, 35)
    finally:
        free.set(both={"delay": 0})
    has_rtt(lab.host, lab.conv.addr4, 0)


@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("family", ["4", "6"])
def test_rate(lab, up, family):
    rate = transfer(lab, 16 << 20, getattr(lab.server, "addr" + family), up)
    assert 0.88 * 50 * PAYLOAD_SHARE < rate < 1.01 * 50 * PAYLOAD_SHARE


def test_loss(lab):
    lab.direct("free")
    lab.link["free"].set(up={"loss": 10, "seed": 7})
    try:
        rtts = lab.host.ping(lab.conv.addr4, 500, interval=0.001, timeout=0.2)
    finally:
        lab.link["free"].set(up={"loss": 0})
    assert 25 <= rtts.count(None) <= 80


def test_queue_is_bounded(lab):
    """What a burst has too much is dropped at the tail, and what passes waited no longer than told."""
    lab.direct("free")
    free = lab.link["free"]
    free.set(up={"rate": 10, "queue": 20})
    free.reset()
    try:
        with lab.host.socket(kind=socket.SOCK_DGRAM) as sock, \
                lab.conv.socket(kind=socket.SOCK_DGRAM) as sink:
            sink.bind((lab.conv.addr4, 9000))
            start = time.monotonic()
            for _ in range(100):
                sock.sendto(bytes(1400), (lab.conv.addr4, 9000))
            burst = time.monotonic() - start
            sink.settimeout(0.2)
            arrived, last = 0, start
            try:
                while sink.recv(2000):
                    arrived, last = arrived + 1, time.monotonic()
            except TimeoutError:
                pass
        stats = free.stats()["up"]
    finally:
        free.set(up={"rate": 0, "queue": 100})
    assert arrived + stats["drops"]["queue"] == 100
    # 20 ms at 10 Mbit/s are 17 frames; what leaves during the burst makes room for more.
    frame = 1446 * 8 / 10e6
    assert 17 <= arrived <= (burst + 0.020) / frame + 2
    assert last - start < burst + 0.020 + 2 * frame + 0.015


def test_two_links_carry_300_mbit():
    """At 150 Mbit/s each, two links are full, and nothing is lost for lack of room or time."""
    links = [Link("one", rate=150, delay=10), Link("two", rate=150, delay=15)]
    size, took = 64 << 20, {}

    with Lab(links, congestion="reno") as lab:
        def carry(wan, port):
            with lab.server.socket() as listener, lab.cpe.socket() as client:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((lab.server.addr4, port))
                listener.listen()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, wan.name.encode())
                client.connect((lab.server.addr4, port))
                server = listener.accept()[0]
                start = time.monotonic()
                sender = threading.Thread(target=send_bytes, args=(server, size))
                sender.start()
                buffer = bytearray(65536)
                while client.recv_into(buffer):
                    pass
                sender.join()
                server.close()
                took[wan.name] = time.monotonic() - start

        threads = [threading.Thread(target=carry, args=(wan, 5001 + wan.index)) for wan in lab.wan]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stats = {name: link.stats() for name, link in lab.link.items()}
    for name, figures in stats.items():
        assert figures["down"]["bytes"] > size
        print(f"{name}: {size * 8 / took[name] / 1e6:.1f} Mbit/s; late by 1 ms: {figures['down']['late_1ms']} "
              f"of {figures['down']['packets']} packets")
        for way in ("up", "down"):
            drops = figures[way]["drops"]
            assert drops["ring"] == drops["pool"] == drops["send"] == 0


def test_no_packet_above_the_mtu(lab):
    with lab.capture("host", "eth0") as host, lab.capture("net", "dsl") as net:
        transfer(lab, 1 << 20, lab.server.addr4)
        transfer(lab, 1 << 20, lab.server.addr6, up=True)
    for cap in (host, net):
        sizes = [len(p) for p in cap.packets()]
        assert max(sizes) == MTU + 14
        assert cap.tshark(["tcp.checksum.status"], "tcp.checksum.status == 0 || ip.checksum.status == 0",
                          ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]) == []
        assert cap.dropped() == 0


# ---- interference

def fast_open(lab, family, proto=MPTCP):
    """Connect from host to the converter's namespace with MESSAGE in the SYN; what it received."""
    v6 = family == "6"
    af, addr = (socket.AF_INET6, lab.conv.addr6) if v6 else (socket.AF_INET, lab.conv.addr4)
    lab.conv.sysctl("net.ipv4.tcp_fastopen", 0x3)
    for ns in (lab.conv, lab.host):
        ns.sysctl("net.mptcp.blackhole_timeout", 0)
    with lab.conv.socket(af, proto=proto) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
        listener.setsockopt(socket.IPPROTO_TCP, 34, 1)          # TCP_FASTOPEN_NO_COOKIE
        listener.bind((addr, 5124))
        listener.listen()
        listener.settimeout(5)
        with lab.host.socket(af, proto=proto) as client:
            client.setsockopt(socket.IPPROTO_TCP, 34, 1)
            client.settimeout(5)
            client.sendto(MESSAGE, socket.MSG_FASTOPEN, (addr, 5124))
            with listener.accept()[0] as server:
                server.settimeout(5)
                received = b""
                while len(received) < len(MESSAGE):
                    received += server.recv(1000)
                return received


SYN = "tcp.flags.syn == 1 && tcp.flags.ack == 0"
CHECKED = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
BAD_CHECKSUM = "tcp.checksum.status == 0 || ip.checksum.status == 0"


@pytest.mark.parametrize("family", ["4", "6"])
def test_untouched(lab, family):
    with lab.capture("conv", "eth0", "tcp") as cap:
        assert fast_open(lab, family) == MESSAGE
    syns = cap.tshark(["tcp.len", "tcp.options.mptcp.subtype"], SYN)
    assert syns == [{"tcp.len": str(len(MESSAGE)), "tcp.options.mptcp.subtype": "0"}]


@pytest.mark.parametrize("family", ["4", "6"])
def test_strip_syn_payload(lab, family):
    lab.link["dsl"].mode("strip-syn-payload")
    with lab.capture("host", "eth0", "tcp") as before, lab.capture("conv", "eth0", "tcp") as after:
        assert fast_open(lab, family) == MESSAGE
    assert before.tshark(["tcp.len"], SYN)[0] == {"tcp.len": str(len(MESSAGE))}
    syns = after.tshark(["tcp.len", "tcp.options.mptcp.subtype"], SYN)
    assert syns and all(syn == {"tcp.len": "0", "tcp.options.mptcp.subtype": "0"} for syn in syns)
    assert after.tshark(["frame.number"], BAD_CHECKSUM, CHECKED) == []
    assert lab.link["dsl"].stats()["up"]["edits"]["syn_payload"] >= 1


def test_drop_syn_payload(lab):
    lab.link["dsl"].mode("drop-syn-payload")
    with lab.capture("conv", "eth0", "tcp") as cap:
        start = time.monotonic()
        assert fast_open(lab, "4") == MESSAGE
    assert time.monotonic() - start > 0.9       # only the repeated SYN, without payload, got through
    syns = cap.tshark(["tcp.len"], SYN)
    assert syns and all(syn == {"tcp.len": "0"} for syn in syns)


@pytest.mark.parametrize("family", ["4", "6"])
def test_strip_mptcp(lab, family):
    lab.link["dsl"].mode("strip-mptcp")
    with lab.capture("host", "eth0", "tcp") as before, lab.capture("conv", "eth0", "tcp") as after:
        assert fast_open(lab, family) == MESSAGE
    assert before.tshark(["frame.number"], SYN + " && tcp.option_kind == 30")
    assert after.tshark(["frame.number"], "ip.src == 10.10.1.2 && tcp.option_kind == 30") == []
    assert after.tshark(["frame.number"], "ipv6.src == fd00:10:1::2 && tcp.option_kind == 30") == []
    assert after.tshark(["tcp.len"], SYN)[0] == {"tcp.len": str(len(MESSAGE))}
    assert after.tshark(["frame.number"], BAD_CHECKSUM, CHECKED) == []


@pytest.mark.parametrize("payload", [b"", b"an answer!"])
def test_strip_synack_payload(lab, payload):
    """No kernel sends such a SYN/ACK by itself, so one is made."""
    from scapy.layers.inet import IP, TCP
    lab.link["dsl"].mode("strip-synack-payload")
    packet = IP(src=lab.conv.addr4, dst=lab.host.addr4) / TCP(
        sport=5124, dport=4321, flags="SA", seq=1000, ack=2000, options=[("MSS", 1400)]) / payload
    with lab.capture("host", "eth0", "tcp") as cap, \
            lab.conv.socket(kind=socket.SOCK_RAW, proto=socket.IPPROTO_RAW) as sock:
        sock.sendto(bytes(packet), (lab.host.addr4, 0))
        found = wait_until(lambda: cap.tshark(["tcp.len", "tcp.seq_raw", "tcp.ack_raw", "ip.len"],
                                              "tcp.flags == 0x12"), 5, "the SYN/ACK at the host")
    assert found == [{"tcp.len": "0", "tcp.seq_raw": "1000", "tcp.ack_raw": "2000", "ip.len": "44"}]
    assert cap.tshark(["frame.number"], BAD_CHECKSUM, CHECKED) == []


def test_modes_by_direction(lab):
    dsl = lab.link["dsl"]
    dsl.mode("strip-mptcp", True, "down")
    assert dsl.stats()["up"]["modes"] == [] and dsl.stats()["down"]["modes"] == ["strip-mptcp"]
    with lab.capture("conv", "eth0", "tcp") as cap:
        fast_open(lab, "4")
    assert cap.tshark(["frame.number"], SYN + " && tcp.option_kind == 30")


def test_hold_third_ack(lab):
    lab.link["dsl"].mode("hold-third-ack", 300, "up")
    with lab.capture("conv", "eth0", "tcp") as cap, lab.conv.socket() as listener, \
            lab.host.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((lab.conv.addr4, 5125))
        listener.listen()
        listener.settimeout(5)
        start = time.monotonic()
        client.connect((lab.conv.addr4, 5125))
        assert time.monotonic() - start < 0.1
        client.sendall(b"behind it")
        server = listener.accept()[0]
        assert 0.3 < time.monotonic() - start < 0.45
        assert server.recv(100) == b"behind it"
        server.close()
        # Other traffic is not held.
        assert median_rtt(lab.host, lab.conv.addr4) < 31
    lens = cap.tshark(["tcp.len"], "tcp.dstport == 5125 && tcp.flags.syn == 0")
    assert [row["tcp.len"] for row in lens[:2]] == ["0", "9"]


@pytest.mark.parametrize("direction", ["up", "down", "both"])
def test_blackhole(lab, direction):
    dsl = lab.link["dsl"]
    assert lab.host.ping(lab.conv.addr4, 1) != [None]
    dsl.reset()
    dsl.mode("blackhole", True, direction)
    assert lab.host.ping(lab.conv.addr4, 3, timeout=0.1) == [None] * 3
    assert carrier(lab, "cpe", "dsl")
    stats = dsl.stats()
    assert stats["up"]["drops"]["blackhole"] == (0 if direction == "down" else 3)
    assert stats["down"]["drops"]["blackhole"] == (3 if direction == "down" else 0)
    dsl.mode("blackhole", False)
    assert lab.host.ping(lab.conv.addr4, 1) != [None]


def carrier(lab, role, interface):
    text = lab.namespaces[role].run(["ip", "-j", "link", "show", "dev", interface]).stdout
    return "NO-CARRIER" not in json.loads(text)[0]["flags"]


def test_down(lab):
    dsl = lab.link["dsl"]
    dsl.mode("down")
    for role in ("cpe", "net"):
        wait_until(lambda: not carrier(lab, role, "dsl"), 1, f"{role} loses carrier")
    assert lab.host.ping(lab.conv.addr4, 2, timeout=0.1) == [None] * 2
    before = dsl.stats()
    time.sleep(0.3)
    assert dsl.stats()["cpu_us"] - before["cpu_us"] < 100000        # it does not spin
    dsl.mode("down", False)
    for role in ("cpe", "net"):
        wait_until(lambda: carrier(lab, role, "dsl"), 2, f"{role} has carrier again")
    for address in (lab.conv.addr4, lab.conv.addr6):
        wait_until(lambda: lab.host.ping(address, 1, timeout=0.1) != [None], 3, "echoes again")


# ---- control

@pytest.mark.parametrize("line", [
    "", "fly", "set", "set sideways delay=1ms", "set up delay=fast", "set up delay=1ms loss=200",
    "set up seed=x", "mode", "mode sing on", "mode blackhole", "mode blackhole maybe",
    "mode blackhole on sideways", "mode down on up", "mode hold-third-ack on",
    "mode hold-third-ack 99999", "mode blackhole on up twice",
])
def test_bad_commands_change_nothing(lab, line):
    from plaitlab.links import ask
    before = lab.link["dsl"].stats()
    with pytest.raises(LabError, match="error: .*expected "):
        ask(lab.link["dsl"].path, line)
    after = lab.link["dsl"].stats()
    for way in ("up", "down"):
        assert after[way]["settings"] == before[way]["settings"]
        assert after[way]["modes"] == before[way]["modes"]


def test_an_endless_line_ends_the_client_only(lab):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(lab.link["dsl"].path)
        sock.sendall(b"x" * 500)
        sock.sendall(b"x" * 500)
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass
    assert lab.link["dsl"].stats()


# ---- what else there is

def test_nginx(lab, tmp_path):
    nginx = lab.server.nginx()
    data = os.urandom(300000)
    with open(nginx.path("file"), "wb") as file:
        file.write(data)
    for url in (nginx.url4, nginx.url6):
        got = lab.host.run(["curl", "-sSf", url + "/file"], text=False).stdout
        assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
        lab.host.run(["curl", "-sSf", "-T", nginx.path("file"), url + "/upload/copy"])
        with open(nginx.path("upload/copy"), "rb") as file:
            assert file.read() == data
        os.unlink(nginx.path("upload/copy"))
    nginx.stop()


def test_masquerade_families_and_many():
    links = [Link("four", families="4"), Link("six", families="6")]
    with Lab(links, masquerade=True, hosts=2, servers=2, congestion="reno") as lab:
        assert lab.conv.sysctl("net.ipv4.tcp_congestion_control") == "reno"
        assert lab.cpe.sysctl("net.ipv4.tcp_no_metrics_save") == "1"
        for host in lab.hosts:
            for server in lab.servers:
                for address, source in ((server.addr4, lab.wan[0].cpe_addr4),
                                        (server.addr6, lab.wan[1].cpe_addr6)):
                    family = socket.AF_INET6 if ":" in address else socket.AF_INET
                    with server.socket(family) as listener, host.socket(family) as client:
                        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        listener.bind((address, 5001))
                        listener.listen()
                        client.connect((address, 5001))
                        peer, where = listener.accept()
                        peer.close()
                        assert where[0] == source


def test_two_labs_at_once(lab):
    with Lab([Link("dsl", delay=3)]) as other:
        assert other.name != lab.name
        assert 6 <= median_rtt(other.host, other.server.addr4) < 7
        assert 40 <= median_rtt(lab.host, lab.server.addr4) < 41


# ---- nothing stays behind

def traces(name):
    """All that could remain of a lab."""
    pids = subprocess.run(["pgrep", "-f", f"plait-lab/{name}/"], capture_output=True, text=True,
                          check=False).stdout.split()
    return (glob.glob(f"/run/netns/plait-{name}-*") + glob.glob(f"/run/plait-lab/{name}") +
            glob.glob(f"/tmp/plait-lab-{name}-*") + pids)


OWNER = textwrap.dedent("""
    import sys, time
    sys.path.insert(0, sys.argv[1])
    from plaitlab import Lab, Link
    lab = Lab([Link("dsl", rate=10), Link("lte")], name=sys.argv[2], core_delay=1).start()
    lab.server.popen(["sleep", "1000"])
    lab.capture("net").start()
    print("ready", flush=True)
    sys.stdin.read()
""")


def start_owner(name):
    proc = subprocess.Popen([sys.executable, "-c", OWNER, LAB_DIR, name], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    assert proc.stdout.readline() == "ready\n"
    assert traces(name)
    return proc


@pytest.mark.parametrize("end", ["exit", "SIGTERM", "SIGINT", "SIGHUP"])
def test_nothing_left(end):
    name = f"t{os.getpid()}{end.lower()}"
    proc = start_owner(name)
    if end == "exit":
        proc.stdin.close()
    else:
        proc.send_signal(getattr(signal, end))
    proc.wait(15)
    assert traces(name) == []


def test_nothing_left_after_an_error():
    name = f"t{os.getpid()}error"
    with pytest.raises(ZeroDivisionError):
        with Lab([Link("dsl")], name=name):
            1 / 0
    assert traces(name) == []


def test_a_killed_owner_is_cleaned_up_after(lab):
    name = f"t{os.getpid()}killed"
    proc = start_owner(name)
    proc.kill()
    proc.wait(5)
    assert traces(name)
    with Lab([Link("dsl")], name=name) as again:        # the next start removes it, and takes its name
        assert again.host.ping(again.server.addr4, 1) != [None]
        assert lab.host.ping(lab.server.addr4, 1) != [None]     # a lab that lives stays
    assert traces(name) == []


def test_clean_leaves_living_labs_alone(lab):
    proc = start_owner(f"t{os.getpid()}alive")
    try:
        assert f"t{os.getpid()}alive" not in clean()
        assert traces(f"t{os.getpid()}alive")
    finally:
        proc.stdin.close()
        proc.wait(15)


def test_a_name_is_taken_once(lab):
    with pytest.raises(LabError, match="exists already"):
        Lab([Link("dsl")], name=lab.name).start()
    assert lab.host.ping(lab.server.addr4, 1) != [None]


def test_the_script():
    name = f"t{os.getpid()}script"
    script = os.path.join(LAB_DIR, "lab")
    up = subprocess.Popen([sys.executable, script, "up", "--name", name, "--link", "dsl:50:15"],
                          stdout=subprocess.PIPE, text=True)
    try:
        for line in up.stdout:
            if "Ctrl-C" in line:
                break

        def run(*argv):
            return subprocess.run([sys.executable, script, *argv], capture_output=True, text=True,
                                  timeout=20, check=False)

        assert name in run("status").stdout
        assert "10.20.1.2" in run("shell", "--name", name, "cpe", "ip", "addr").stdout
        assert run("link", "--name", name, "dsl", "mode", "blackhole", "on").stdout == "ok\n"
        assert '"blackhole"' in run("link", "--name", name, "dsl", "stats").stdout
        bad = run("link", "--name", name, "dsl", "mode", "blackhole", "maybe")
        assert bad.returncode == 1 and "expected" in bad.stderr
        assert run("shell", "--name", name, "cellar").returncode == 1
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(15)
    assert traces(name) == []
