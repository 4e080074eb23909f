# SPDX-License-Identifier: ISC
"""What the links carry, as `plait paths`, `plait sessions` and the metrics tell it."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time

import pytest

from peer import MB, Server, Transfer, ask, connect, echo, exactly
from plaitlab import Link, wait_until

LINKS = [Link("dsl", rate=60, delay=10), Link("lte", rate=40, delay=15)]
CPE_METRICS, CONV_METRICS = ("127.0.0.1", 9801), ("127.0.0.1", 9802)


def paths(plait):
    return {link["name"]: link for link in plait.cpe.ask("paths")["paths"]}


def grown(before, after, *keys):
    return {name: tuple(link[key] - before[name][key] for key in keys) for name, link in after.items()}


@pytest.fixture
def plait(start):
    return start(cpe={"metrics": "{}:{}".format(*CPE_METRICS)}, conv={"metrics": "{}:{}".format(*CONV_METRICS)})


@pytest.fixture
def talk(lab):
    """A connection to a server that sends back what comes, which it did once."""
    @contextlib.contextmanager
    def talk():
        with Server(lab.server, echo) as server, connect(lab.host, lab.server.addr4, server.port) as host:
            host.sendall(b"some")
            assert exactly(host, 4) == b"some"
            yield host
    return talk


@pytest.mark.parametrize("family", ["4", "6"])
@pytest.mark.parametrize("way", ["down", "up"])
def test_links_share_what_a_session_carries(lab, plait, way, family):
    """While it runs by session and by link, and behind its end; the links together carry all of it,
    and little twice."""
    size = 16 * MB
    with Transfer(lab, way, size, family):
        wait_until(lambda: all(link["subflows"] == 1 and link["bytes_" + way] > MB
                               for link in paths(plait).values()), 10, "both links to carry their share")
        one, = plait.cpe.ask("sessions")["sessions"]
        assert set(one["links"]) == {"dsl", "lte"}
        for name, link in paths(plait).items():
            share = one["links"][name]
            assert share["subflows"] == 1 and 0 < share["bytes_" + way] <= link["bytes_" + way]
            # Not less than the way takes, there and back.
            least = 2 * next(wan.link.delay for wan in lab.wan if wan.name == name)
            assert least <= share["rtt_ms"] < 1000 and least <= link["rtt_ms"] < 1000
    wait_until(lambda: not plait.cpe.status()["sessions"], 10, "the session to end")
    carried = {name: link["bytes_" + way] for name, link in paths(plait).items()}
    assert size <= sum(carried.values()) < 1.2 * size, carried
    assert min(carried.values()) > MB
    wait_until(lambda: not any(link["subflows"] for link in paths(plait).values()), 5, "no subflow to be left")


def test_short_connections_count(lab, plait, server):
    """They begin and end between two looks."""
    for _ in range(20):
        assert ask(lab.host, lab.server.addr4, server.port, b"x" * 1000) == b"X" * 1000
    wait_until(lambda: not plait.cpe.status()["sessions"], 10, "the sessions to end")
    carried = paths(plait)
    assert sum(link["bytes_up"] for link in carried.values()) >= 20 * 1000


def test_sums_only_grow(lab, plait):
    """Also when a link goes in the middle of a session, and its subflow with it."""
    with Transfer(lab, "down", 24 * MB):
        wait_until(lambda: paths(plait)["dsl"]["bytes_down"] > 2 * MB, 10, "dsl to carry")
        before = paths(plait)
        lab.link["dsl"].mode("down")
        wait_until(lambda: paths(plait)["dsl"]["lost"] == 1, 5, "the loss to be told")
        after = paths(plait)
        assert after["dsl"]["bytes_down"] >= before["dsl"]["bytes_down"]
        assert after["dsl"]["subflows"] == 0
        lab.link["dsl"].mode("down", False)
        wait_until(lambda: paths(plait)["dsl"]["subflows"] == 1, 10, "a subflow to join anew")
        assert paths(plait)["dsl"]["joined"] == before["dsl"]["joined"] + 1
    wait_until(lambda: not plait.cpe.status()["sessions"], 10, "the session to end")
    assert all(min(values) >= 0 for values in grown(after, paths(plait), "bytes_down", "joined", "lost").values())


def test_what_is_sent_again(lab, plait):
    """A link that loses packets shows in what is sent again, and what comes in the wrong order."""
    lab.link["lte"].set(both={"loss": 2})
    try:
        for way, key in (("up", "resent"), ("down", "disordered")):
            before = paths(plait)
            with Transfer(lab, way, 8 * MB):
                pass
            wait_until(lambda: not plait.cpe.status()["sessions"], 10, "the session to end")
            more = grown(before, paths(plait), key, "bytes_" + way)
            assert more["lte"][0] > 0, (way, more)
            # A link that loses nothing has less of it for what it carries.
            assert more["dsl"][0] / more["dsl"][1] < more["lte"][0] / more["lte"][1], (way, more)
    finally:
        lab.link["lte"].set(both={"loss": 0})


def test_joins_that_fail(lab, plait, talk):
    """What refuses the second subflow shows."""
    lab.net.run(["nft", "-f", "-"], input=(
        f"table ip refuse {{ chain forward {{ type filter hook forward priority 0; ip saddr {lab.wan[1].cpe_addr4} "
        "tcp dport 5124 tcp flags & (syn | ack) == syn reject with tcp reset\n}\n}\n"))
    try:
        with talk():
            wait_until(lambda: paths(plait)["lte"]["joins_failed"] == 1, 5, "the failure to be told")
            link = paths(plait)["lte"]
            assert (link["subflows"], link["joined"], link["lost"]) == (0, 0, 0)
            assert paths(plait)["dsl"]["joins_failed"] == 0
    finally:
        lab.net.run(["nft", "delete", "table", "ip", "refuse"])


def test_a_stale_subflow(lab, plait):
    """Data under way on a link that swallows them. It is the only one: else the link is left."""
    lab.link["lte"].mode("down")
    wait_until(lambda: not paths(plait)["lte"]["running"], 5, "lte to be gone")
    with Transfer(lab, "up", 8 * MB):
        wait_until(lambda: paths(plait)["dsl"]["bytes_up"] > MB, 10, "dsl to carry")
        lab.link["dsl"].mode("blackhole")
        wait_until(lambda: paths(plait)["dsl"]["stale"] == 1, 5, "a stale subflow")
        lab.link["dsl"].mode("blackhole", False)
        wait_until(lambda: paths(plait)["dsl"]["stale"] == 0, 10, "it to go on")


def test_two_converter_ports(lab, start, talk):
    """Converters may have ports of their own."""
    plait = start(converters=[f"{lab.conv.addr4}#5199", lab.conv.addr4])
    for _ in range(2):      # the first converter is not there
        with talk():
            wait_until(lambda: paths(plait)["dsl"]["subflows"] == 1, 5, "its subflow to be seen")


# ---- congestion control

def test_congestion_control(lab, plait):
    """bbr between client and converter, on all subflows of both ends, whatever the hosts' default."""
    def used(ns, peer_port):
        out = ns.run(["ss", "-Htin", f"( sport = :{peer_port} or dport = :{peer_port} )"]).stdout
        return set(re.findall(r"\b(bbr|reno|cubic)\b", out)), out.count("rtt:")

    for ns in (lab.cpe, lab.conv):
        assert "bbr" in ns.sysctl("net.ipv4.tcp_available_congestion_control")
        ns.sysctl("net.ipv4.tcp_congestion_control", "reno")
    plait.stop()
    plait.conv.start()
    plait.cpe.start()
    try:
        with Transfer(lab, "down", 8 * MB):
            wait_until(lambda: all(link["subflows"] for link in paths(plait).values()), 10, "both subflows")
            for ns in (lab.cpe, lab.conv):
                algorithms, subflows = used(ns, 5124)
                assert algorithms == {"bbr"} and subflows >= 2
    finally:
        for ns in (lab.cpe, lab.conv):
            ns.sysctl("net.ipv4.tcp_congestion_control", "bbr")


def test_congestion_control_that_is_not_there(start, talk):
    """It is said, and what the kernel has does."""
    plait = start(cpe={"congestion": "nosuch"}, conv={"congestion": "nosuch"})
    for daemon in (plait.cpe, plait.conv):
        assert 'this kernel has no congestion control "nosuch": going on with' in daemon.log()
    with talk():
        pass


# ---- the tool

def test_watch(plait, build_dir):
    """It repeats the answer, and ends when the daemon does."""
    with subprocess.Popen([os.path.join(build_dir, "src", "plait"), "paths", "--json", "--watch", "--socket",
                           plait.cpe.control], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as proc:
        decoder, text, answers = json.JSONDecoder(), "", 0
        while answers < 3:
            text += os.read(proc.stdout.fileno(), 65536).decode()
            with contextlib.suppress(ValueError):
                answer, end = decoder.raw_decode(text)
                text = text[end:].lstrip()
                answers += 1
                assert [link["name"] for link in answer["paths"]] == ["dsl", "lte"]
        plait.cpe.stop()
        assert proc.wait(10) == 1
        assert "expected" in proc.stderr.read()


def test_watch_changes_nothing(build_dir):
    done = subprocess.run([os.path.join(build_dir, "src", "plait"), "reload", "--watch"], capture_output=True,
                          text=True, timeout=10, check=False)
    assert done.returncode == 2 and "usage" in done.stderr


# ---- metrics

LINE = re.compile(r'([a-z][a-z0-9_]*)(?:\{([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)')


def http(ns, address, request, timeout=10):
    with ns.socket() as sock:
        sock.settimeout(timeout)
        sock.connect(address)
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def scrape(ns, address):
    """{(name, label value or None): value}, of a text in which every line is as Prometheus has it."""
    head, _, body = http(ns, address, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").partition(
        b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and b"text/plain; version=0.0.4" in head
    values, types, helped = {}, {}, set()
    for line in body.decode().splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in types and kind in ("counter", "gauge")
            assert (kind == "counter") == name.endswith("_total")
            types[name] = kind
        else:
            name, _, of, value = LINE.fullmatch(line).groups()
            assert name in types and name in helped and (name, of) not in values
            values[name, of] = float(value)
    return values


def test_metrics_follow(lab, plait):
    before = scrape(lab.cpe, CPE_METRICS), scrape(lab.conv, CONV_METRICS)
    with Transfer(lab, "down", 8 * MB):
        wait_until(lambda: scrape(lab.cpe, CPE_METRICS)["plait_link_subflows", "lte"] == 1, 10, "a subflow on lte")
        assert scrape(lab.cpe, CPE_METRICS)["plait_cpe_sessions", None] == 1
        assert scrape(lab.conv, CONV_METRICS)["plait_converter_sessions", None] == 1
        assert scrape(lab.cpe, CPE_METRICS)["plait_link_rtt_seconds", "dsl"] >= 0.02
    wait_until(lambda: not plait.cpe.status()["sessions"] and not plait.conv.status()["sessions"], 10, "the end")
    cpe, conv = scrape(lab.cpe, CPE_METRICS), scrape(lab.conv, CONV_METRICS)
    assert sum(cpe["plait_link_down_bytes_total", link] for link in ("dsl", "lte")) >= 8 * MB
    assert cpe["plait_cpe_converted_total", None] == before[0]["plait_cpe_converted_total", None] + 1
    assert conv["plait_converter_bytes_down_total", None] >= 8 * MB
    assert cpe["plait_cpe_converter_usable", "c1"] == 1
    # All that status counts is there, and as much.
    for daemon, values, prefix in ((plait.cpe, cpe, "plait_cpe_"), (plait.conv, conv, "plait_converter_")):
        for name, value in daemon.status()["counters"].items():
            assert values[f"{prefix}{name}_total", None] == value
    lab.link["lte"].mode("down")
    wait_until(lambda: scrape(lab.cpe, CPE_METRICS)["plait_link_running", "lte"] == 0, 5, "lte to be down")
    assert scrape(lab.cpe, CPE_METRICS)["plait_link_running", "dsl"] == 1


def test_metrics_answer_what_is_asked(lab, plait):
    assert http(lab.cpe, CPE_METRICS, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
        b"HTTP/1.1 404 ")
    answer = http(lab.cpe, CPE_METRICS, b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  b"Connection: close\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 405 ") and b"Allow: GET, HEAD" in answer
    head = http(lab.cpe, CPE_METRICS, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n")


JUNK = {"zeros": b"\0" * 70000, "long path": b"GET " + b"/" * 70000, "empty lines": b"\r\n" * 40000, "TLS": b"\x16\x03\x01",
        "many headers": b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 20000}


@pytest.mark.parametrize("junk", JUNK)
def test_metrics_survive_junk(lab, plait, junk):
    memory = plait.cpe.memory()
    for _ in range(3):
        with contextlib.suppress(OSError), lab.cpe.socket() as sock:
            sock.settimeout(0.5)
            sock.connect(CPE_METRICS)
            sock.sendall(JUNK[junk])
            sock.recv(65536)
    assert scrape(lab.cpe, CPE_METRICS)["plait_link_running", "dsl"] == 1
    assert plait.cpe.memory() < memory + 8 * MB


def test_metrics_do_not_wait_for_slow_ones(lab, plait, talk):
    """More connections than are served, and none of them says anything: LAN hosts do not notice, and
    a scraper is served again when their time is over."""
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(lab.cpe.socket())
            sock.connect(CPE_METRICS)
            sock.sendall(b"GET /met")
        with talk():
            pass
        started = time.monotonic()
        while time.monotonic() < started + 30:
            with contextlib.suppress(OSError):
                if http(lab.cpe, CPE_METRICS, b"GET /metrics HTTP/1.0\r\n\r\n", 2).startswith(b"HTTP/1."):
                    break
        else:
            pytest.fail("no scrape for 30 s")


def test_metrics_address_in_use(lab, plait, start):
    """It is said, and nothing is left behind."""
    plait.stop()
    with lab.cpe.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(CPE_METRICS)
        sock.listen()
        plait.cpe.start(wait=False)
        assert plait.cpe.proc.wait(10) == 1
    assert "metrics at 127.0.0.1:9801: Address already in use" in plait.cpe.log()
    assert "plait" not in lab.cpe.run(["nft", "list", "ruleset"]).stdout
    assert not lab.cpe.run("ip mptcp endpoint").stdout


@pytest.mark.parametrize("value", ["9801", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9801", "host:80"])
def test_metrics_address_that_is_none(lab, start, value):
    plait = start(with_conv=False)
    plait.stop()
    text = open(plait.cpe.config_path, encoding="utf-8").read()
    plait.cpe.configure(text + f'metrics = "{value}"\n')
    plait.cpe.start(wait=False)
    assert plait.cpe.proc.wait(10) == 2
    assert 'expected ADDRESS:PORT, as "127.0.0.1:9801"' in plait.cpe.log()
