# SPDX-License-Identifier: ISC
"""plait-load, the endpoints of the benchmark, and what a stretch of its run cost."""

import contextlib
import dataclasses
import os
import select
import subprocess
import time

from .links import build_dir
from .procs import LabError, wait_until

TICK = 1 / os.sysconf("SC_CLK_TCK")
KERNEL_HELPERS = ("ksoftirqd/", "kworker/", "rcu_")     # these work for the lab, too


@dataclasses.dataclass
class Report:
    """plait-load's figures since its start; `time` in seconds."""
    time: float
    bytes: int
    done: int
    failed: int


class Load:
    """A plait-load in a namespace: Load(server, "serve", 9000), Load(host, "connect", addr, ..)."""

    def __init__(self, ns, *arguments):
        self._log = ns.lab.new_path("load", ".log")
        with open(self._log, "wb") as log:
            self.proc = ns.popen([os.path.join(build_dir(), "lab", "plait-load"), *arguments],
                                 text=False, bufsize=0, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=log)
        self.report()           # it runs, and a server listens

    def report(self, timeout=20):
        try:
            self.proc.stdin.write(b"\n")
            if select.select([self.proc.stdout], [], [], timeout)[0]:
                words = self.proc.stdout.read(200).split()
                return Report(int(words[0]) * 1e-9, *map(int, words[1:]))
        except (BrokenPipeError, IndexError):
            pass
        with open(self._log, encoding="utf-8", errors="replace") as log:
            raise LabError(f"plait-load does not answer: {log.read().strip() or 'no word of it'}")

    def wait_done(self, count, timeout):
        """Until so many connections have got their byte; LabError when one broke."""
        def enough():
            report = self.report()
            if report.failed:
                raise LabError(f"{report.failed} connections broke, {report.done} are open")
            return report.done >= count
        wait_until(enough, timeout, f"{count} connections to open")

    def close(self):
        for pipe in (self.proc.stdin, self.proc.stdout):
            pipe.close()
        self.proc.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.close()


# ---- processors

def _stat(pid):
    """(name, own seconds, those of its ended children)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        head, _, tail = file.read().rpartition(")")
    user, system, child_user, child_system = map(int, tail.split()[11:15])
    return head.partition("(")[2], (user + system) * TICK, (child_user + child_system) * TICK


def process_seconds(pids):
    """User and system time of these processes so far."""
    return sum(_stat(pid)[1] for pid in pids)


@dataclasses.dataclass
class Processors:
    """Seconds of processor time so far: the relays' processes, the whole machine, and what is on
    it besides the lab (nothing, on a machine of one's own)."""
    relays: float
    machine: float
    others: float

    @classmethod
    def now(cls, relays, lab_pids):
        with open("/proc/stat", encoding="ascii") as file:
            words = file.readline().split()
        user, nice, system, _idle, _iowait, irq, softirq = map(int, words[1:8])
        others = 0.0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) in lab_pids or int(pid) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                name, own, children = _stat(pid)
                if not name.startswith(KERNEL_HELPERS):
                    others += own + children
        return cls(process_seconds(relays), (user + nice + system + irq + softirq) * TICK, others)


@dataclasses.dataclass
class Stretch:
    """What happened between two moments of a run."""
    seconds: float
    bytes: int
    done: int
    relays: float           # processor seconds
    machine: float          # less what others used
    others: float
    longest_pause: float    # without a byte, in seconds

    @property
    def gbits(self):
        return self.bytes * 8e-9 / self.seconds

    def per_gigabyte(self, seconds):
        return seconds / (self.bytes / 1e9) if self.bytes else float("inf")


def stretch(counter, relays, lab_pids, seconds, look=0.1):
    """Watch `counter`, a Load, for so long."""
    cpu = Processors.now(relays, lab_pids)
    first = before = counter.report()
    moved = first.time
    pause = 0.0
    while before.time - first.time < seconds:
        time.sleep(look)
        after = counter.report()
        if after.bytes != before.bytes or after.done != before.done:
            moved = after.time
        pause = max(pause, after.time - moved)
        before = after
    end = Processors.now(relays, lab_pids)
    others = end.others - cpu.others
    return Stretch(before.time - first.time, before.bytes - first.bytes, before.done - first.done,
                   end.relays - cpu.relays, max(0.0, end.machine - cpu.machine - others), others,
                   pause)


# ---- memory

def resident(pid):
    """Bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


def kernel_objects():
    """Bytes of all objects in the kernel's slab caches, of the whole machine."""
    total = 0
    with open("/proc/slabinfo", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            words = line.split()
            total += int(words[1]) * int(words[3])
    return total
