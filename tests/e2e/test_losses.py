# SPDX-License-Identifier: ISC
"""Lossy links: short connections end right, each once."""

import collections
import hashlib
import itertools
import os

import pytest

from peer import Server, Task, connect, exactly, to_end
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait

CONNECTIONS = 2000
AT_ONCE = 64
ID = 16
REQUEST, ANSWER = 3000, 9000


@pytest.fixture(scope="module")
def lab():
    links = [Link("dsl", rate=100, delay=10, loss=5), Link("lte", rate=80, delay=15, loss=5)]
    with Lab(links, core_delay=5) as lab:
        yield lab


def answer_to(request):
    return hashlib.shake_256(request).digest(ANSWER)


def test_losses(lab, ends):
    """5 % on both links, both ways; content checked; the server sees every request once."""
    plait = ends(Plait(lab))
    left = itertools.count()
    seen = collections.Counter()

    def serve(conn):
        try:
            request = exactly(conn, REQUEST)
        except ConnectionResetError:
            return          # an attempt that was begun anew, and brought nothing
        if request:
            assert len(request) == REQUEST
            seen[request[:ID]] += 1
            conn.sendall(answer_to(request))

    def some():
        n = 0
        while next(left) < CONNECTIONS:
            request = os.urandom(REQUEST)
            with connect(lab.host, lab.server.addr4, server.port, timeout=100) as client:
                client.sendall(request)
                assert to_end(client) == answer_to(request)
            assert seen[request[:ID]] == 1
            n += 1
        return n

    with Server(lab.server, serve, timeout=100) as server:
        assert sum(task.result(150) for task in [Task(some) for _ in range(AT_ONCE)]) == CONNECTIONS
    assert len(seen) == CONNECTIONS and set(seen.values()) == {1}
    wait_until(lambda: not plait.cpe.status()["sessions"], 60, "the sessions to end")
    counters = plait.cpe.status()["counters"]
    assert counters["accepted"] == counters["converted"] + counters["direct"]
    assert counters["answer_wrong"] == 0
    assert plait.stop() == [0, 0]
