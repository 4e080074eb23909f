# SPDX-License-Identifier: ISC
"""New connections over links that are up and dead: one finds out, the others begin elsewhere."""

import time

import pytest

from peer import Server, Task, ask, upper
from plaitlab import Lab, Link, wait_until


@pytest.fixture(scope="module")
def lab():
    with Lab([Link("dsl", rate=100, delay=10), Link("lte", rate=80, delay=15)], core_delay=2) as lab:
        yield lab

def begin(plait):
    """The link over which the CPE's next connection begins: one request, and its time in s."""
    lab = plait.lab
    with Server(lab.server, upper) as server, lab.capture("cpe", filter="tcp port 5124") as cap:
        start = time.monotonic()
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        took = time.monotonic() - start
        assert server.peers == [lab.conv.addr4]
    first = cap.tshark(["ip.src"], "tcp.options.mptcp.subtype == 0 && tcp.flags == 0x002")
    sources = {wan.cpe_addr4: wan.name for wan in lab.wan}
    return [sources[row["ip.src"]] for row in first], took


def test_first_link_is_dead(lab, start):
    """Its interface is up: one connection finds out, the next ones begin elsewhere, until it is back."""
    plait = start()
    assert begin(plait)[0] == ["dsl"]
    lab.link["dsl"].mode("blackhole")
    try:
        tried, took = begin(plait)
        assert tried == ["dsl", "lte"] and took < 3
        for _ in range(3):
            assert begin(plait)[0] == ["lte"]
    finally:
        lab.link["dsl"].mode("blackhole", False)
    assert plait.cpe.ask("paths")["paths"][0]["silences"] == 1
    wait_until(lambda: begin(plait)[0] == ["dsl"], 30, "the first link to be used first again")
    assert plait.cpe.ask("paths")["paths"][0]["health"] == "good"
    assert plait.cpe.counter("direct") == plait.cpe.counter("tcp_fallback") == 0


def test_first_syn_is_lost(lab, start):
    """It is said again with its message, on the only link there is: the connection keeps its MPTCP."""
    plait = start(wans=["dsl"])
    lab.link["dsl"].mode("blackhole")
    with Server(lab.server, upper) as server:
        answer = Task(ask, lab.host, lab.server.addr4, server.port)
        wait_until(lambda: plait.cpe.ask("converters")["converters"][0]["connections"] == 1, 5,
                   "the first attempt")
        wait_until(lambda: lab.link["dsl"].stats()["up"]["drops"]["blackhole"], 5, "its SYN to be lost")
        lab.link["dsl"].mode("blackhole", False)
        assert answer.result(20) == b"HELLO"
    assert plait.cpe.counter("converted") == 1
    assert plait.cpe.counter("direct") == plait.cpe.counter("tcp_fallback") == 0
