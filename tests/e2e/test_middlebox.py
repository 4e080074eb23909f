# SPDX-License-Identifier: ISC
"""Middleboxes on the way to the converter: every connection works, and at most one is slow for it."""

import pytest

from peer import Server, Task, connect, echo, receive, send
from plaitlab import wait_until
from plaitlab.daemons import Plait

MODES = ["strip-syn-payload", "drop-syn-payload", "strip-mptcp", "strip-synack-payload"]
SIZE = 300000


def exchange(lab, server):
    """A connection with content both ways, checked."""
    with connect(lab.host, lab.server.addr4, server.port) as client:
        sender = Task(send, client, SIZE)
        assert receive(client) == sender.result()


def carries(plait):
    """What the CPE remembers of its links: {name: what}."""
    links = plait.cpe.ask("converters")["converters"][0]["links"]
    return {name: link["carries"] for name, link in links.items()}


def used(plait, *names):
    counters = plait.cpe.status()["counters"]
    return [counters[name] for name in names]


# What is remembered of a link by a CPE whose converter has not proved itself, and by one whose has.
REMEMBERED = {
    "strip-syn-payload": ("nothing", "stream only"),
    "drop-syn-payload": ("nothing", "stream only"),
    "strip-mptcp": ("all", "all"),              # plain TCP, as it would be without plait
    "strip-synack-payload": ("SYN payload", "SYN payload"),
}


@pytest.mark.parametrize("mode", MODES)
def test_on_one_link(lab, ends, mode):
    """The first one. The first connection finds out; the others go another way at once."""
    plait = ends(Plait(lab))
    lab.link["dsl"].mode(mode)
    with Server(lab.server, echo) as server:
        for n in range(4):
            exchange(lab, server)
            if n == 0:
                attempts = plait.cpe.ask("converters")["converters"][0]["connections"]
    assert carries(plait) == {"dsl": REMEMBERED[mode][0], "lte": "all"}
    # Nobody else had to try more than once.
    assert plait.cpe.ask("converters")["converters"][0]["connections"] == attempts + 3
    assert used(plait, "accepted", "converted", "direct") == [4, 4, 0]
    assert plait.stop() == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_on_the_second_link(lab, ends, mode):
    """It only joins: a SYN without data; nobody is slower."""
    plait = ends(Plait(lab))
    lab.link["lte"].mode(mode)
    with Server(lab.server, echo) as server:
        for _ in range(3):
            exchange(lab, server)
    assert carries(plait) == {"dsl": "all", "lte": "all"}
    assert plait.cpe.ask("converters")["converters"][0]["connections"] == 3
    assert used(plait, "converted", "tcp_fallback") == [3, 0]
    assert plait.stop() == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_on_both_links(lab, ends, mode):
    """No way for a SYN with data: the connection in hand goes direct; those behind it are not even taken
    from the kernel's forwarding, until the converter is tried again."""
    plait = ends(Plait(lab, cpe={"distrust_ttl": 3}))
    for wan in lab.wan:
        lab.link[wan.name].mode(mode)
    with Server(lab.server, echo) as server:
        for _ in range(3):
            exchange(lab, server)
        if "syn-payload" in mode:
            assert used(plait, "accepted", "converted", "direct") == [1, 0, 1]
            for wan in lab.wan:
                lab.link[wan.name].mode(mode, False)

            def converted():
                exchange(lab, server)
                return plait.cpe.counter("converted") > 0
            wait_until(converted, 30, "the converter to be used again")
            assert carries(plait)["dsl"] == "all"
        else:
            assert used(plait, "accepted", "converted", "direct") == [3, 3, 0]
            if mode == "strip-mptcp":
                assert plait.cpe.counter("tcp_fallback") == 3
    assert plait.stop() == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_comes_while_running(lab, ends, mode):
    """A converter that has proved itself stays in use. What was learnt is forgotten after its time."""
    plait = ends(Plait(lab, cpe={"distrust_ttl": 2}))
    with Server(lab.server, echo) as server:
        exchange(lab, server)
        assert carries(plait) == {"dsl": "all", "lte": "all"}
        lab.link["dsl"].mode(mode)
        exchange(lab, server)
        assert carries(plait)["dsl"] == REMEMBERED[mode][1]
        exchange(lab, server)
        lab.link["dsl"].mode(mode, False)
        wait_until(lambda: carries(plait)["dsl"] == "all", 10, "the CPE to forget")
        exchange(lab, server)
    assert carries(plait)["dsl"] == "all"
    assert used(plait, "accepted", "converted", "direct") == [4, 4, 0]
