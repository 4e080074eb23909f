# SPDX-License-Identifier: ISC
"""Links that go and come back under running transfers: nothing is lost, and how long data stood still is
printed ("lab/bench --only flaps" measures it, beside what the kernel does alone)."""

import os
import random
import re
import time

import pytest

from peer import Server, Task, connect, receive, send
from plaitlab import Lab, Link, wait_until
from plaitlab.flap import HOWS, Flapper, Progress

MB = 1 << 20
# Both links get other addresses while the end of an upload, and its FIN, are on their way.
KNOWN = [364624947, 767826479]


@pytest.fixture(scope="module")
def lab():
    with Lab([Link("dsl", rate=60, delay=10), Link("lte", rate=40, delay=15)], core_delay=5) as lab:
        yield lab


@pytest.fixture(autouse=True)
def as_before(lab):
    yield
    Flapper(lab).all_back()


def both_ways(way, size, progress):
    """The server's and the LAN host's halves; the receiver's progress is watched."""
    if way == "up":
        return lambda conn: receive(progress.watch(conn)), lambda client: send(client, size)
    return lambda conn: send(conn, size), lambda client: receive(progress.watch(client))


class Transfer:
    """One checksummed transfer that runs meanwhile."""

    def __init__(self, lab, way, size):
        self.progress = Progress()
        theirs, mine = both_ways(way, size, self.progress)
        self.server = Server(lab.server, theirs, timeout=120)
        self.client = connect(lab.host, lab.server.addr4, self.server.port, timeout=120)
        self.task = Task(mine, self.client)

    def finish(self):
        assert self.task.result(120) == self.server.result(120)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.server.close()


@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("how", HOWS)
def test_each_link_in_turn(lab, plait, table, how, way):
    """One goes and comes back, then the other."""
    flapper, rows = Flapper(lab), []
    with Transfer(lab, way, 60 * MB) as transfer:
        for link in ("dsl", "lte"):
            wait_until(lambda: flapper.carries(link, way), 20, f"{link} to carry its share")
            gone = flapper.go(link, how)
            time.sleep(1.5)
            back = flapper.back(link)
            wait_until(lambda: flapper.carries(link, way), 20, f"{link} to carry its share again")
            rows.append([f"{how}, {link}, {way}", f"{transfer.progress.longest(gone, back):.2f} s",
                         f"{time.monotonic() - back:.2f} s"])
        transfer.finish()
    table(f"A link goes and comes back: {how}, {way}load", ["", "data stood still", "back after"], rows)
    assert plait.cpe.counter("ended_reset") == 0 and plait.cpe.counter("tcp_fallback") == 0


def test_subflows_that_join_later(lab, plait):
    """Their windows are no smaller than those of the first ones, which are all gone in the end."""
    flapper = Flapper(lab)
    with Transfer(lab, "down", 40 * MB) as transfer:
        for link in ("dsl", "lte"):
            wait_until(lambda: flapper.carries(link), 20, f"{link} to carry its share")
            flapper.go(link, "address")
            time.sleep(0.3)
            flapper.back(link)
        wait_until(lambda: flapper.carries("lte"), 20, "lte to carry its share again")
        for ns, port in ((lab.cpe, "dport"), (lab.conv, "sport")):
            subflows = ns.run(f"ss -Htnm {port} = 5124").stdout
            buffers = [int(n) for n in re.findall(r"skmem:\(r\d+,rb(\d+)", subflows)]
            assert len(buffers) >= 2 and min(buffers) >= MB, subflows
        transfer.finish()


@pytest.mark.parametrize("n", range(int(os.environ.get("PLAIT_SCHEDULES", 20))))
def test_random_schedule(lab, plait, n):
    """Whatever happens in whatever order, also to both at once: every byte arrives."""
    seed = int(os.environ.get("PLAIT_SEED", KNOWN[n] if n < len(KNOWN) else random.randrange(1 << 32)))
    print("PLAIT_SEED =", seed)
    rng = random.Random(seed)
    flapper = Flapper(lab)
    with Transfer(lab, rng.choice(["down", "up"]), 16 * MB) as transfer:
        for _ in range(rng.randint(2, 5)):
            time.sleep(rng.uniform(0.05, 0.5))
            link = rng.choice(["dsl", "lte"])
            if flapper.gone(link):
                flapper.back(link)
            else:
                flapper.go(link, rng.choice(HOWS))
        time.sleep(rng.uniform(0.1, 1))
        flapper.all_back()
        transfer.finish()
    assert plait.cpe.counter("ended_reset") == 0
