# SPDX-License-Identifier: ISC
"""Network namespaces: running things, sockets, sysctls and interfaces in them."""

import contextlib
import ctypes
import fcntl
import os
import shlex
import socket
import struct
import subprocess
import threading

from .procs import LabError, call

NETNS_DIR = "/run/netns"
CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
# ethtool commands that switch an offload: receive and transmit checksums, scatter-gather, TSO, GSO, GRO.
OFFLOADS = {"rx": 0x15, "tso": 0x1F, "gso": 0x24, "gro": 0x2C, "tx": 0x17, "sg": 0x19}

_libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise LabError(f"setns: {os.strerror(error)} (needs CAP_SYS_ADMIN)")


def _offload_off(sock, interface, command):
    value = ctypes.create_string_buffer(struct.pack("II", command, 0))
    request = struct.pack("16sP8x", interface.encode(), ctypes.addressof(value))
    try:
        fcntl.ioctl(sock, SIOCETHTOOL, request)
    except OSError as error:
        # A switch that the interface does not have is off.
        if error.errno not in (95, 22):
            raise


class Namespace:
    """One role of a lab, in a network namespace of its own.

    `addr4` and `addr6` are its main addresses, `interface` the interface that has them (the first
    one, where there are several), `addresses` all of them by interface.
    """

    def __init__(self, lab, role):
        self.lab = lab
        self.role = role
        self.name = f"plait-{lab.name}-{role}"
        self.path = os.path.join(NETNS_DIR, self.name)
        self.addr4 = self.addr6 = self.interface = None
        self.addresses = {}

    def __repr__(self):
        return f"<namespace {self.name}>"

    # ---- entering

    @contextlib.contextmanager
    def enter(self):
        """Within, this thread (and it alone) is in the namespace; its sockets stay there for good."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _setns(there)
            finally:
                os.close(there)
            try:
                yield self
            finally:
                _setns(before)
        finally:
            os.close(before)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket of this namespace."""
        with self.enter():
            return socket.socket(family, kind, proto)

    def call(self, func, *args, **kwargs):
        """`func(...)` in a thread that is in the namespace; its value, or its exception."""
        result = {}

        def body():
            try:
                with self.enter():
                    result["value"] = func(*args, **kwargs)
            except BaseException as error:  # handed to the caller
                result["error"] = error

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join()
        if "error" in result:
            raise result["error"]
        return result["value"]

    # ---- processes

    def argv(self, command):
        """The command that runs `command` (a list, or one string for the shell) in here."""
        if isinstance(command, str):
            command = ["sh", "-c", command]
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, command, timeout=30, check=True, **options):
        """Run to the end; a CompletedProcess with text in stdout and stderr."""
        options = {"capture_output": True, "text": True, **options}
        done = subprocess.run(self.argv(command), timeout=timeout, check=False, **options)
        if check and done.returncode != 0:
            text = command if isinstance(command, str) else shlex.join(map(str, command))
            raise LabError(f"{self.role}: {text}: exit {done.returncode}: "
                           f"{(done.stderr or done.stdout or '').strip()}")
        return done

    def popen(self, command, **options):
        """Start; a Popen (with text pipes, if any) that is ended with the lab at the latest."""
        options = {"text": True, **options}
        return self.lab.tracker.start(self.argv(command), **options)

    def ping(self, address, count=10, **options):
        """Round trips in ms, None for a lost one; see ping.ping()."""
        from .ping import ping
        return ping(self, address, count, **options)

    def nginx(self, root=None, port=80):
        """A real nginx that serves `root` and takes PUTs to /upload/; see services.Nginx."""
        from .services import Nginx
        return Nginx(self, root, port)

    # ---- settings

    def sysctl(self, key, value=None):
        """Read a sysctl (dots or slashes), or write it."""
        path = "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
        with self.enter(), open(path, "r" if value is None else "w", encoding="ascii") as file:
            if value is None:
                return file.read().strip()
            file.write(str(value))
        return str(value)

    def ip(self, *lines, family=None):
        """Run lines of ip(8) in one batch, those of one family ("4" or "6") where it matters."""
        option = [f"-{family}"] if family else []
        call(["ip", "-n", self.name, *option, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def offloads_off(self, interface):
        """Every packet as it would be on a wire: at most one MTU, with its checksum."""
        with self.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for command in OFFLOADS.values():
                _offload_off(sock, interface, command)

    def counters(self, interface):
        """The kernel's counters of an interface."""
        import json
        text = call(["ip", "-n", self.name, "-s", "-j", "link", "show", "dev", interface])
        stats = json.loads(text)[0]["stats64"]
        return {f"{way}_{key}": stats[way][key] for way in ("rx", "tx")
                for key in ("packets", "bytes", "errors", "dropped")}
