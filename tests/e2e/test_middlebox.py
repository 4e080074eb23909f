# SPDX-License-Identifier: ISC
"""Middleboxes on the way to the converter: the connection works, with MPTCP or without."""

import itertools

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


@pytest.mark.parametrize("links", [("dsl",), ("lte",), ("dsl", "lte")], ids="+".join)
@pytest.mark.parametrize("mode", MODES)
def test_middlebox(lab, mode, links, request):
    plait = Plait(lab)
    request.addfinalizer(plait.stop)
    for link in links:
        lab.link[link].mode(mode)
    with Server(lab.server, echo) as server:
        for _ in range(3):
            exchange(lab, server)
    assert plait.cpe.status()["counters"]["accepted"] == 3
    assert plait.stop() == [0, 0]


@pytest.mark.parametrize("mode", MODES)
def test_comes_while_running(lab, mode, request):
    """A converter that has proved itself: no connection is lost when the path changes."""
    plait = Plait(lab)
    request.addfinalizer(plait.stop)
    with Server(lab.server, echo) as server:
        exchange(lab, server)
        lab.link["dsl"].mode(mode)
        exchange(lab, server)
        lab.link["dsl"].mode(mode, False)
        exchange(lab, server)


def test_losses(lab, request):
    """2 % on both links, 100 short connections, ten at a time: each ends right."""
    plait = Plait(lab)
    request.addfinalizer(plait.stop)
    for wan in lab.wan:
        lab.link[wan.name].set(both={"loss": 2})
    request.addfinalizer(lambda: [lab.link[wan.name].set(both={"loss": 0}) for wan in lab.wan])
    left = itertools.count()

    def some():
        while next(left) < 100:
            with connect(lab.host, lab.server.addr4, server.port, timeout=110) as client:
                sender = Task(send, client, 20000)
                assert receive(client) == sender.result()

    # An attempt whose SYN/ACK was lost is begun anew; the server sees the first one come and go, and
    # gets nothing of it. A reset on the way would show at the LAN host.
    def serve(conn):
        try:
            return echo(conn)
        except ConnectionResetError:
            return None

    with Server(lab.server, serve, timeout=110) as server:
        for task in [Task(some) for _ in range(10)]:
            task.result(120)
        whole = 0
        while whole < 100:
            said = server.result()
            assert said in (20000, None)
            whole += said is not None
    counters = plait.cpe.status()["counters"]
    assert counters["accepted"] == counters["converted"] + counters["direct"] == 100
    wait_until(lambda: not plait.cpe.status()["sessions"], 60, "the sessions to end")
