# SPDX-License-Identifier: ISC
"""Converters that are learnt and not configured: told by hand, and by DHCP."""

import json
import os
import subprocess
import time

import pytest

from peer import MB, Server, Transfer, ask
from plaitlab import Link, wait_until
from plaitlab.daemons import Plait

OTHER_PORT = 5125
LINKS = [Link("dsl", rate=60, delay=10), Link("lte", rate=40, delay=15)]


@pytest.fixture
def plait(start):
    """A CPE that knows no converter."""
    return start(converters=[])


@pytest.fixture
def tell(plait, build_dir):
    """plait provision ...: its exit code, and what it said."""
    def tell(*args, interface="dsl", source="test"):
        done = subprocess.run(
            [os.path.join(build_dir, "src", "plait"), "provision", "--socket", plait.cpe.control,
             "--interface", interface, "--source", source, *map(str, args)],
            timeout=20, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr
    return tell


def by_whom(lab, server):
    """Who came to the server for the LAN host."""
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    return {lab.conv.addr4: "converter", lab.host.addr4: "host"}[server.peers[-1]]


def test_told_and_withdrawn(lab, plait, server, tell):
    assert by_whom(lab, server) == "host"
    assert tell(lab.conv.addr4)[0] == 0
    assert plait.converters() == [("dsl.test", f"{lab.conv.addr4}:5124")]
    assert by_whom(lab, server) == "converter"
    assert tell(source="other")[0] == 0             # of another source: nothing to withdraw
    assert by_whom(lab, server) == "converter"
    assert tell()[0] == 0
    assert plait.converters() == []
    assert by_whom(lab, server) == "host"
    counters = plait.cpe.status()["counters"]
    assert counters["tcp_fallback"] == 0 and plait.conv.counter("in_syn_ack") == 2


def test_it_expires(lab, plait, server, tell):
    assert tell("--lifetime", 2, lab.conv.addr4)[0] == 0
    assert by_whom(lab, server) == "converter"
    wait_until(lambda: plait.converters() == [], 10, "the lease to expire")
    assert by_whom(lab, server) == "host"


def test_another_one_in_mid_download(lab, plait, server, tell, ends):
    """New connections go there at once; those that run stay."""
    other = ends(Plait(lab, start=False, conv={"port": OTHER_PORT}).conv.start())
    assert tell(lab.conv.addr4)[0] == 0
    with Transfer(lab, "down", 30 * MB):
        wait_until(lambda: plait.conv.status()["sessions"] == 1, 5, "the download to run")
        assert tell("--port", OTHER_PORT, lab.conv.addr4)[0] == 0
        assert by_whom(lab, server) == "converter"
        assert plait.conv.status()["sessions"] == 1
        assert other.counter("converted") == 1


def test_order(lab, plait, tell):
    """Those of a source in its order; sources by their order, then as they came; each address once."""
    assert tell("198.51.100.101", "198.51.100.102")[0] == 0
    assert tell("198.51.100.103", "198.51.100.101", interface="lte")[0] == 0
    assert tell("--order", 5, "2001:db8::104", source="first")[0] == 0
    assert plait.converters() == [
        ("dsl.first", "[2001:db8::104]:5124"), ("dsl.test", "198.51.100.101:5124"),
        ("dsl.test", "198.51.100.102:5124"), ("lte.test", "198.51.100.103:5124")]
    assert [(c["source"], c["interface"], c["order"]) for c in plait.cpe.ask("converters")["converters"]] == [
        ("first", "dsl", 5), ("test", "dsl", 100), ("test", "dsl", 100), ("test", "lte", 100)]


def test_distrust_ends(lab, start, server, build_dir):
    with Server(lab.conv, lambda conn: conn.recv(1), port=5124):
        plait = start(with_conv=False)
        assert by_whom(lab, server) == "host"
        wait_until(lambda: plait.cpe.ask("converters")["converters"][0]["trust"] == "distrusted", 5, "distrust")
    plait.conv.start()
    assert by_whom(lab, server) == "host"
    said = plait.cpe.ask("provision " + json.dumps(
        {"source": "test", "interface": "dsl", "converters": ["198.51.100.9"]}))
    assert said == {"converters": 1}
    assert by_whom(lab, server) == "converter"


@pytest.mark.parametrize("link", ["dsl", "lte"])
def test_through_one_link_only(lab, plait, server, tell, link):
    assert tell("--only", lab.conv.addr4, interface=link)[0] == 0
    with lab.capture("net", link, "tcp port 5124") as cap:
        assert by_whom(lab, server) == "converter"
    assert cap.tshark(["ip.src"], "tcp.flags == 2 && tcp.options.mptcp.subtype == 0")


def test_kept_over_a_restart(lab, plait, server, tell):
    assert tell("--lifetime", 600, lab.conv.addr4)[0] == 0
    assert tell("--lifetime", 1, "198.51.100.101", source="short")[0] == 0
    assert tell("198.51.100.102", source="long")[0] == 0
    plait.cpe.stop()
    time.sleep(1.1)
    plait.cpe.start()
    assert plait.converters() == [("dsl.test", f"{lab.conv.addr4}:5124"), ("dsl.long", "198.51.100.102:5124")]
    assert by_whom(lab, server) == "converter"
    plait.cpe.kill()
    plait.cpe.start()
    assert by_whom(lab, server) == "converter"


def test_over_in_the_second_of_a_start(lab, plait, tell):
    """No time is left: that is not for ever."""
    assert tell("--lifetime", 600, lab.conv.addr4)[0] == 0
    plait.cpe.stop()
    path = plait.cpe.state + ".leases"
    with open(path, encoding="utf-8") as file:
        lease, = json.load(file)
    # Early in a second, so that it is read within it; time() may be some ms behind.
    wait_until(lambda: 0.1 <= time.time() % 1 < 0.3, 5, "the begin of a second")
    with open(path, "w", encoding="utf-8") as file:
        json.dump([{**lease, "until": int(time.time())}], file)
    plait.cpe.start()
    assert plait.converters() == []


WRONG = {
    "no address": (["converter.example"], "expected an IPv4 or IPv6 address"),
    "multicast": (["224.0.0.1"], "no host has it"),
    "multicast, IPv6": (["ff02::1"], "no host has it"),
    "loopback": (["127.0.0.1"], "no host has it"),
    "unspecified": (["0.0.0.0"], "no host has it"),
    "link-local": (["fe80::1"], "link-local"),
    "its own": (["10.20.1.2"], "this host's own"),
    "one of two": (["198.51.100.101", "255.255.255.255"], "no host has it"),
    "too many": ([f"198.51.100.{n}" for n in range(101, 110)], "at most 8"),
    "option of a wrong length": (["--option4", "c63364"], "expected addresses of 4"),
    "option of nothing": (["--option4", ""], "expected addresses of 4"),
    "option of IPv6, wrong": (["--option6", "20010db8"], "expected addresses of 16"),
    "option that is no hex": (["--option4", "c633640g"], "hexadecimal"),
    "option that is very long": (["--option4", "c6336465" * 200], "hexadecimal"),
    "option with its own": (["--option4", "0a140102"], "this host's own"),
    "port": (["--port", "70000", "198.51.100.101"], "1 to 65535"),
    "lifetime": (["--lifetime", "-1", "198.51.100.101"], "lifetime"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_changes_nothing(lab, plait, server, tell, name):
    args, expected = WRONG[name]
    assert tell(lab.conv.addr4)[0] == 0
    code, said = tell(*args)
    assert code == 1 and expected in said
    assert "nothing is changed: " in plait.cpe.log()
    assert plait.converters() == [("dsl.test", f"{lab.conv.addr4}:5124")]
    assert by_whom(lab, server) == "converter"


def test_options(lab, plait, server, tell):
    """As DHCP clients hand them on that do not know them."""
    assert tell("--option4", "c6:33:64:02")[0] == 0
    assert tell("--option6", "20010db8000000000000000000000065" * 2, source="v6")[0] == 0
    assert plait.converters() == [("dsl.test", "198.51.100.2:5124"), ("dsl.v6", "[2001:db8::65]:5124")]
    assert by_whom(lab, server) == "converter"


@pytest.mark.parametrize("line", ["provision", "provision ", "provision {", "provision []", "provision {}",
                                  'provision {"source": 1}', "provision " + "[" * 3000,
                                  'provision {"source": "a b", "interface": "x"}',
                                  'provision {"source": "a", "interface": "x", "converters": {"a": 1}}',
                                  'provision {"source": "a", "interface": "x", "converters": [1]}'])
def test_garbage_on_the_control_socket(lab, plait, line):
    answer = plait.cpe.ask(line)
    assert "error" in answer or answer == {"converters": 0}
    assert plait.cpe.status()["sessions"] == 0


def test_usage(tell, build_dir):
    done = subprocess.run([os.path.join(build_dir, "src", "plait"), "provision", "198.51.100.1"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and "--interface NAME" in done.stderr
    code, said = tell("--lifetime", "soon", "198.51.100.1")
    assert code == 2 and "expected a number" in said
