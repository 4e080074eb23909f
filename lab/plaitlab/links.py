# SPDX-License-Identifier: ISC
"""Emulated links: what they are like, and the control socket of a running emulator."""

import dataclasses
import json
import os
import re
import socket
import subprocess
import time

from .procs import LabError, wait_until


@dataclasses.dataclass
class Link:
    """A WAN of the CPE: Mbit/s and one-way milliseconds, both directions alike unless said otherwise.

    rate 0 is unlimited. `queue` is the longest wait for the transmitter in ms, or a text such as
    "64kB". "up" is away from the LAN. A `cable` has no emulator: nothing limits or delays it, and
    there are no controls for it (for what is to run as fast as it can).
    """

    name: str
    rate: float = 0
    delay: float = 0
    jitter: float = 0
    loss: float = 0
    queue: object = 100
    families: str = "46"
    rate_up: float = None
    rate_down: float = None
    delay_up: float = None
    delay_down: float = None
    seed: int = 1
    cable: bool = False

    def __post_init__(self):
        if not re.fullmatch(r"[a-z][a-z0-9]{0,9}", self.name):
            raise LabError(f"link name {self.name!r}: expected 1 to 10 of a-z and 0-9, a letter first")
        if self.families not in ("4", "6", "46"):
            raise LabError(f"families of link {self.name}: expected 4, 6 or 46")

    def commands(self):
        """The emulator's commands for these settings."""
        def one(way, rate, delay):
            return (f"set {way} rate={_number(rate)}mbit delay={_number(delay)}ms "
                    f"jitter={_number(self.jitter)}ms loss={_number(self.loss)} "
                    f"queue={_with_unit('queue', self.queue)} seed={self.seed}")
        return [one("up", self.rate if self.rate_up is None else self.rate_up,
                    self.delay if self.delay_up is None else self.delay_up),
                one("down", self.rate if self.rate_down is None else self.rate_down,
                    self.delay if self.delay_down is None else self.delay_down)]


def _number(value):
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _with_unit(key, value):
    unit = {"rate": "mbit", "delay": "ms", "jitter": "ms", "queue": "ms"}.get(key, "")
    return value if isinstance(value, str) else _number(value) + unit


def ask(path, line, timeout=5):
    """One command to the emulator at `path`; what follows the "ok"."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(path)
            sock.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                part = sock.recv(65536)
                if not part:
                    raise LabError("it closed the connection")
                answer += part
        except OSError as error:
            raise LabError(f"link emulator at {path}: {error}") from error
    text = answer.decode().rstrip("\n")
    if text != "ok" and not text.startswith("ok "):
        raise LabError(f"{line}: {text}")
    return text[3:]


class Controls:
    """The controls of a running emulator: `name`, and its socket at `path`."""

    def __init__(self, name, path):
        self.name = name
        self.path = path

    def set(self, up=None, down=None, both=None):
        """Change settings: set(up={"rate": 10, "delay": "5ms"}). Bare numbers are Mbit/s, ms, percent."""
        for way, values in (("both", both), ("up", up), ("down", down)):
            if values:
                words = [f"{key}={_with_unit(key, value)}" for key, value in values.items()]
                ask(self.path, f"set {way} {' '.join(words)}")

    def mode(self, name, value=True, direction="both"):
        """Switch an interference mode: True, False, or its value (ms for "hold-third-ack")."""
        word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
        where = "" if direction == "both" else " " + direction
        ask(self.path, f"mode {name} {word}{where}")

    def stats(self):
        """The emulator's figures since its start or reset()."""
        return json.loads(ask(self.path, "stats"))

    def carried(self, way="down", seconds=1.0):
        """The bytes that it carries from now on in so many seconds."""
        before = self.stats()[way]["bytes"]
        time.sleep(seconds)
        return self.stats()[way]["bytes"] - before

    def reset(self):
        """Start the counters anew."""
        ask(self.path, "reset")


class Emulator(Controls):
    """An emulator process between two interfaces of the lab's namespace for links."""

    def __init__(self, lab, name, commands):
        super().__init__(name, os.path.join(lab.run_dir, f"link-{name}"))
        self.log = os.path.join(lab.tmp, f"linkem-{name}.log")
        with open(self.log, "wb") as log:
            self.proc = lab.links_ns.popen(
                [find_linkem(), "-a", f"{name}.a", "-b", f"{name}.b", "-s", self.path, *commands],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self):
        wait_until(self._ready, 5, f"link emulator {self.name} does not answer")

    def check(self):
        """LabError with its last words when the emulator has ended by itself."""
        if self.proc.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise LabError(f"link emulator {self.name} ended ({self.proc.returncode}): "
                               f"{log.read().strip()}")

    def _ready(self):
        self.check()
        try:
            ask(self.path, "help")
        except LabError:
            return False
        return True


def build_dir():
    """Where the binaries were built: $PLAIT_BUILD, or `build` at the top of the repository."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.join(top, os.environ.get("PLAIT_BUILD", "build"))


def find_linkem():
    """The emulator: of the build, or installed beside this package."""
    path = os.path.join(build_dir(), "lab", "plait-linkem")
    installed = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "plait-linkem")
    for candidate in (path, installed):
        if os.access(candidate, os.X_OK):
            return candidate
    raise LabError(f"{path} is missing: build it (meson compile), or name the build directory in "
                   "PLAIT_BUILD")
