# SPDX-License-Identifier: ISC
"""Waiting, and processes that are ended when their lab ends."""

import os
import signal
import subprocess
import time


class LabError(Exception):
    """The lab cannot do what it was asked to; the text says what and why."""


def wait_until(cond, timeout, what):
    """Poll `cond` until it is true and return its value; LabError naming `what`, a text
    or a function that returns one, after `timeout` s."""
    end = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = cond()
        if value:
            return value
        if time.monotonic() >= end:
            raise LabError(f"waited {timeout} s in vain: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def call(argv, timeout=30, stdin=None):
    """Run a tool of the lab's own; its output, or LabError with what it said."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout,
                          check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {said}")
    return done.stdout


class Tracker:
    """The processes of a lab. Each has a process group of its own, which is ended as a whole."""

    def __init__(self):
        self._running = []

    def start(self, argv, **options):
        proc = subprocess.Popen(argv, start_new_session=True, **options)
        self._running = [p for p in self._running if p.poll() is None]
        self._running.append(proc)
        return proc

    def running(self):
        return [proc for proc in self._running if proc.poll() is None]

    def end(self, procs=None, grace=2.0):
        """SIGTERM, then after `grace` seconds SIGKILL, to `procs` or to all."""
        procs = [p for p in (self._running if procs is None else procs) if p.poll() is None]
        for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
            for proc in procs:
                try:
                    os.killpg(proc.pid, sig)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + patience
            for proc in procs:
                try:
                    proc.wait(max(0.0, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
            procs = [p for p in procs if p.poll() is None]
        self._running = [p for p in self._running if p.poll() is None]
