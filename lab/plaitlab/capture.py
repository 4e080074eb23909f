# SPDX-License-Identifier: ISC
"""Packet captures that have begun when they say so and are complete when they have ended."""

import os
import re
import signal
import socket
import struct
import subprocess

from .procs import LabError, wait_until

# Local experimental EtherType 1 (IEEE 802): the frame that marks the end of a capture.
MARKER_TYPE = 0x88B5


class Capture:
    """tcpdump in a namespace, as a context manager; `path` is the file.

    Before it stops, it sends a marker frame and waits until that is in the file: so everything that
    was there before it is, too. The helpers below leave the marker out.
    """

    def __init__(self, ns, interface="any", filter=None, path=None, snaplen=262144):
        self.ns = ns
        self.interface = interface
        self.path = path or ns.lab.new_path(f"{ns.role}-{interface}", ".pcap")
        self._filter = filter
        self._snaplen = snaplen
        self._proc = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        argv = ["tcpdump", "-n", "-U", "--immediate-mode", "-B", "16384", "-s", self._snaplen,
                "-i", self.interface, "-Z", "root", "-w", self.path]
        if self.interface == "any":
            argv += ["-y", "LINUX_SLL"]     # scapy does not know its successor
        if self._filter:
            argv.append(f"({self._filter}) or ether proto {MARKER_TYPE:#x}")
        log = self.path + ".log"
        with open(log, "wb") as err:
            self._proc = self.ns.popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err)

        def listening():
            with open(log, encoding="utf-8", errors="replace") as file:
                text = file.read()
            if self._proc.poll() is not None:
                raise LabError(f"tcpdump in {self.ns.role}: {text.strip()}")
            return "listening on" in text

        wait_until(listening, 10, f"tcpdump in {self.ns.role} does not listen")
        return self

    def stop(self):
        if self._proc is None:
            return self
        proc, self._proc = self._proc, None
        if proc.poll() is None:
            self.flush(proc)
            proc.send_signal(signal.SIGINT)
            proc.wait(10)
        return self

    def flush(self, proc=None):
        """Wait until all that was seen so far is in the file."""
        token = os.urandom(32)
        frame = bytes(12) + struct.pack("!H", MARKER_TYPE) + token + bytes(14)
        with self.ns.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            interface = "lo" if self.interface == "any" else self.interface
            try:
                sock.sendto(frame, (interface, MARKER_TYPE))
            except OSError:
                return          # the interface is down or gone, nothing more will come
        proc = proc or self._proc
        start = max(0, os.path.getsize(self.path) - 65536)

        def written():
            with open(self.path, "rb") as file:
                file.seek(start)
                return token in file.read() or proc.poll() is not None

        wait_until(written, 20, f"the capture {self.path} does not come to its end")

    def packets(self):
        """The packets, by scapy."""
        from scapy.all import rdpcap     # with all that registers itself
        self._flush_if_running()
        return [p for p in rdpcap(self.path) if not self._is_marker(p)]

    @staticmethod
    def _is_marker(packet):
        return getattr(packet, "type", getattr(packet, "proto", None)) == MARKER_TYPE

    def tshark(self, fields, filter="", options=()):
        """The named fields of the packets that match, as a list of dicts of texts."""
        self._flush_if_running()
        marker = f"!(frame contains {MARKER_TYPE >> 8:02x}:{MARKER_TYPE & 255:02x} && !ip && !ipv6)"
        shown = f"({filter}) && {marker}" if filter else marker
        # Every packet shows its own options: connections are not put together of their subflows.
        argv = ["tshark", "-n", "-o", "mptcp.analyze_mptcp:FALSE", "-r", self.path, "-Y", shown,
                "-T", "fields", "-E", "separator=/t", *options]
        for field in fields:
            argv += ["-e", field]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise LabError(f"tshark: {done.stderr.strip()}")
        return [dict(zip(fields, line.split("\t"))) for line in done.stdout.splitlines()]

    def _flush_if_running(self):
        if self._proc is not None and self._proc.poll() is None:
            self.flush()

    def dropped(self):
        """How many packets the kernel did not hand to tcpdump (known once it has stopped)."""
        with open(self.path + ".log", encoding="utf-8", errors="replace") as file:
            found = re.search(r"(\d+) packets? dropped by kernel", file.read())
        return int(found.group(1)) if found else None
