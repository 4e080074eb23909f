# SPDX-License-Identifier: ISC
"""What demo and bench measure: transfers by curl, set-up times, and the links' rates over time.

A link's rate and bytes are those of its Ethernet frames with their check sequence, as its emulator
counts what arrives: the same measure as the rate that the link was given. A transfer's rate is that
of the file. What a file can have at most of a link is the payload limit.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import select
import subprocess
import threading
import time

from .procs import LabError

# TCP's payload in a full frame: 1428 bytes (IPv4, timestamps, MPTCP's DSS) of 1518.
PAYLOAD_SHARE = 1428 / 1518
FCS = 4
POLL = 0.01


def random_file(path, size):
    """A file of random bytes; its SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for at in range(0, size, 1 << 20):
            part = os.urandom(min(1 << 20, size - at))
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def carried(links):
    """The bytes each link has carried so far: {name: {"up": .., "down": ..}}."""
    return {name: _bytes(link.stats()) for name, link in links.items()}


def _bytes(stats):
    return {way: stats[way]["bytes"] + FCS * stats[way]["packets"] for way in ("up", "down")}


def difference(after, before):
    return {name: {way: after[name][way] - before[name][way] for way in ways}
            for name, ways in after.items()}


@dataclasses.dataclass
class Phase:
    """A stretch of the samples: what went on, in seconds of the sampler's clock."""
    label: str
    start: float
    end: float = None
    notes: list = dataclasses.field(default_factory=list)


class Sampler:
    """The rates of links over time, from a thread of its own.

    times[i] is the second (from the start) at which sample i ends, rates[name][way][i] the link's
    mean Mbit/s in it. `phases` and `marks` (time, text) are the caller's notes to it.
    """

    def __init__(self, links, period=0.1):
        self.links = links
        self.period = period
        self.times = []
        self.rates = {name: {"up": [], "down": []} for name in links}
        self.phases = []
        self.marks = []
        self._zero = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._zero = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()

    def now(self):
        return time.monotonic() - self._zero

    def _run(self):
        with contextlib.suppress(LabError):     # the lab ended
            before, due = self._stats(), self.now() + self.period
            while not self._stop.wait(max(0, due - self.now())):
                after, now = self._stats(), self.now()
                for name, stats in after.items():
                    # the emulator's own clock: this thread may be late
                    took = stats["time_us"] - before[name]["time_us"]
                    old, new = _bytes(before[name]), _bytes(stats)
                    for way, rates in self.rates[name].items():
                        rates.append((new[way] - old[way]) * 8 / took)
                self.times.append(now)
                before, due = after, max(now, due + self.period)

    def _stats(self):
        return {name: link.stats() for name, link in self.links.items()}

    def latest(self, way):
        """The last sample of each link, by name."""
        return {name: (rates[way] or [0])[-1] for name, rates in self.rates.items()}

    @contextlib.contextmanager
    def phase(self, label):
        phase = Phase(label, self.now())
        self.phases.append(phase)
        try:
            yield phase
        finally:
            phase.end = self.now()

    def mark(self, text):
        self.marks.append((self.now(), text))


@dataclasses.dataclass
class Cut:
    """Something that is done to the links in the middle of a transfer, and what came of it."""
    action: object                  # a function without arguments
    after: float = 3.0              # seconds from the transfer's start
    at: float = None                # the receiver's bytes when it was done
    links: dict = None              # bytes per link from then on
    gap: float = None               # longest gap in the receiver's data from then on, in seconds
    gap_before: float = None


@dataclasses.dataclass
class Transfer:
    """A file that went (or did not go) through; `error` is None if it finished."""
    name: str
    way: str                        # "down" or "up"
    size: int
    seconds: float = 0.0
    error: str = None
    checksum_ok: bool = False
    links: dict = None              # bytes per link
    gap: float = 0.0                # longest time without data at the receiver, in seconds
    cut: Cut = None

    @property
    def ok(self):
        return self.error is None and self.checksum_ok

    @property
    def mbits(self):
        return self.size * 8e-6 / self.seconds if self.ok else 0.0

    def as_dict(self):
        """For JSON."""
        d = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.cut:
            d["cut"] = {f.name: getattr(self.cut, f.name) for f in dataclasses.fields(self.cut)
                        if f.name != "action"}
        return {**d, "mbits": self.mbits}


class Client:
    """Transfers of a host of the lab from and to an nginx, by curl.

    While one runs, watch(transfer, bytes so far) is called every 0.1 s.
    """

    def __init__(self, host, nginx, links, watch=lambda transfer, count: None, max_time=90):
        self.host = host
        self.nginx = nginx
        self.links = links
        self.watch = watch
        self.max_time = max_time

    def download(self, name, file, digest, cut=None):
        """GET /file, to memory and a checksum. The receiver's data are what curl gives out."""
        t = Transfer(name, "down", os.path.getsize(self.nginx.path(file)), cut=cut)
        proc = self._curl(["-w", "%{stderr}%{json}", f"{self.nginx.url4}/{file}"])
        seen = hashlib.sha256()

        def receive():
            if not select.select([proc.stdout], [], [], POLL)[0]:
                return 0
            part = os.read(proc.stdout.fileno(), 1 << 18)
            seen.update(part)
            return len(part) if part else None

        self._follow(t, proc, receive)
        t.checksum_ok = t.error is None and seen.hexdigest() == digest
        return t

    def upload(self, name, path, digest, cut=None):
        """PUT a file. The receiver's data are those that nginx has written: it buffers 16 KB."""
        t = Transfer(name, "up", os.path.getsize(path), cut=cut)
        target = f"{name.replace(' ', '-')}-{time.monotonic_ns()}"
        body = os.path.join(os.path.dirname(self.nginx.access_log), "body")
        proc = self._curl(["-T", path, "-o", os.devnull, "-w", "%{stderr}%{json}",
                           f"{self.nginx.url4}/upload/{target}"])
        size = 0

        def receive():
            nonlocal size
            if proc.poll() is not None:
                return None
            time.sleep(POLL)
            before = size
            with contextlib.suppress(OSError):      # nginx moves it away when it is complete
                size = max(size, sum(entry.stat().st_size for entry in os.scandir(body)))
            return size - before

        self._follow(t, proc, receive)
        stored = self.nginx.path("upload/" + target)
        t.checksum_ok = t.error is None and os.path.exists(stored) and sha256(stored) == digest
        return t

    def set_up_times(self, file, count=15):
        """(connect, first byte) in ms of so many requests, each on a connection of its own."""
        done = self.host.run(
            ["curl", "-sS", "--fail", "-m", 10, "-o", os.devnull, "-H", "Connection: close",
             "-w", "%{time_connect} %{time_starttransfer}\n",
             f"{self.nginx.url4}/{file}?[1-{count}]"], timeout=10 * count + 10)
        return [tuple(float(word) * 1000 for word in line.split())
                for line in done.stdout.splitlines()]

    def _curl(self, arguments):
        return self.host.popen(["curl", "-sS", "--fail", "-m", self.max_time, *arguments],
                               text=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)

    def _follow(self, t, proc, receive):
        """Until curl ends: receive() is the bytes since its last call, None at the end."""
        before = carried(self.links)
        start = shown = time.monotonic()
        last, count, cut = None, 0, t.cut
        while (got := receive()) is not None:
            now = time.monotonic()
            count += got
            if cut and cut.at is None and now - start >= cut.after:
                cut.gap_before, t.gap, at_cut = t.gap, 0.0, carried(self.links)
                cut.action()
                cut.at = count
            if got:
                t.gap = max(t.gap, now - (last or now))
                last = now
            if now - shown >= 0.1:
                self.watch(t, count)
                shown = now
        report = proc.stderr.read().decode(errors="replace")
        proc.stdout.close()
        proc.stderr.close()
        code = proc.wait()
        after = carried(self.links)
        t.links = difference(after, before)
        t.seconds = time.monotonic() - start
        if cut and cut.at is not None:
            cut.gap, cut.links = t.gap, difference(after, at_cut)
            t.gap = max(t.gap, cut.gap_before)
        if code == 0:
            t.seconds = json.loads(report)["time_total"]
        else:
            t.error = report.partition("{")[0].strip() or f"curl: exit {code}"
