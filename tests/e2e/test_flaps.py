# SPDX-License-Identifier: ISC
"""Links that go and come back under running transfers: nothing is lost, and how long data stood still is
printed ("lab/bench --only flaps" measures it, beside what the kernel does alone)."""

import os
import random
import re
import time

import pytest

from peer import MB, Transfer
from plaitlab import Link, wait_until
from plaitlab.flap import HOWS, Flapper, Progress

LINKS = [Link("dsl", rate=50, delay=10), Link("lte", rate=30, delay=15)]
# Both links get other addresses while the end of an upload, and its FIN, are on their way.
KNOWN = [364624947, 767826479]


@pytest.fixture
def flapper(lab):
    """Whatever it did to the links is undone at the test's end."""
    flapper = Flapper(lab)
    yield flapper
    flapper.all_back()


def drawn(seed):
    """A generator of random numbers; its seed is printed, and may be given."""
    seed = int(os.environ.get("PLAIT_SEED", seed))
    print("PLAIT_SEED =", seed)
    return random.Random(seed)


@pytest.mark.parametrize("way", ["down", "up"])
def test_each_link_by_each_way(lab, plait, flapper, table, way):
    """One after the other goes and comes back, in any order, while one file is on its way."""
    events = [(how, link) for how in HOWS for link in ("dsl", "lte")]
    drawn(random.randrange(1 << 32)).shuffle(events)
    progress, rows = Progress(), []
    with Transfer(lab, way, 200 * MB, watch=progress.watch):
        for how, link in events:
            wait_until(lambda: flapper.carries(link, way), 20, f"{link} to carry its share")
            gone = flapper.go(link, how)
            time.sleep(1.5)
            back = flapper.back(link)
            wait_until(lambda: flapper.is_back(link, way), 20, f"{link} to carry its share again")
            rows.append([f"{how}, {link}", f"{progress.longest(gone, back):.2f} s",
                         f"{time.monotonic() - back:.2f} s"])
    table(f"A link goes and comes back, {way}load", ["", "data stood still", "back after"], rows)
    assert plait.cpe.counter("ended_reset") == 0 and plait.cpe.counter("tcp_fallback") == 0


def test_subflows_that_join_later(lab, plait, flapper):
    """Their windows are no smaller than those of the first ones, which are all gone in the end."""
    with Transfer(lab, "down", 40 * MB):
        for link in ("dsl", "lte"):
            wait_until(lambda: flapper.carries(link), 20, f"{link} to carry its share")
            flapper.go(link, "address")
            wait_until(lambda: flapper.other_address(link) in lab.conv.run("ss -Htn sport = 5124").stdout, 10,
                       "a subflow from the other address")
            flapper.back(link)
        wait_until(lambda: flapper.is_back("lte"), 20, "lte to carry its share again")
        for ns, port in ((lab.cpe, "dport"), (lab.conv, "sport")):
            subflows = ns.run(f"ss -Htnm {port} = 5124").stdout
            buffers = [int(n) for n in re.findall(r"skmem:\(r\d+,rb(\d+)", subflows)]
            assert len(buffers) >= 2 and min(buffers) >= MB, subflows


@pytest.mark.parametrize("n", range(int(os.environ.get("PLAIT_SCHEDULES", 20))))
def test_random_schedule(lab, plait, flapper, n):
    """Whatever happens in whatever order, also to both at once: every byte arrives."""
    rng = drawn(KNOWN[n] if n < len(KNOWN) else random.randrange(1 << 32))
    with Transfer(lab, rng.choice(["down", "up"]), 16 * MB):
        for _ in range(rng.randint(2, 5)):
            time.sleep(rng.uniform(0.05, 0.5))
            link = rng.choice(["dsl", "lte"])
            if flapper.gone(link):
                flapper.back(link)
            else:
                flapper.go(link, rng.choice(HOWS))
        time.sleep(rng.uniform(0.1, 1))
        flapper.all_back()
    assert plait.cpe.counter("ended_reset") == 0
