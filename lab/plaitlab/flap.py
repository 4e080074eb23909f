# SPDX-License-Identifier: ISC
"""Access links that go and come back, and how long a transfer stands still meanwhile."""

import contextlib
import socket
import threading
import time

HOWS = ("carrier", "blackhole", "address")
OTHER = 77                              # the last byte of another address


class Progress:
    """When a receiver got data: watch(sock) is a socket that keeps account."""

    def __init__(self):
        self.when = []

    def watch(self, sock):
        return _Watched(sock, self.when)

    def longest(self, start, end):
        """The longest time without data that began between two times, in seconds."""
        inside = [start, *(t for t in self.when if t >= start)]
        gaps = [b - a for a, b in zip(inside, inside[1:]) if a <= end]
        return max(gaps, default=0.0)


class _Watched:
    def __init__(self, sock, when):
        self._sock, self._when = sock, when

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def recv(self, *args):
        data = self._sock.recv(*args)
        self._when.append(time.monotonic())
        return data


class Bulk:
    """Data without end, one way, until the block ends: of a LAN host and the server, or, `alone`, of an MPTCP
    socket of the CPE and the converter's host. `progress` is the receiver's."""

    def __init__(self, lab, way, port, alone=False):
        self.progress = Progress()
        near, far = (lab.cpe, lab.conv) if alone else (lab.host, lab.server)
        proto = socket.IPPROTO_MPTCP if alone else 0
        self._socks = [far.socket(socket.AF_INET, proto=proto), near.socket(socket.AF_INET, proto=proto)]
        listener, client = self._socks
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", port))
        listener.listen()
        client.settimeout(20)
        client.connect((far.addr4, port))
        self._socks.append(listener.accept()[0])
        ends = (self._socks[2], client) if way == "down" else (client, self._socks[2])
        for what, sock in zip((self._send, self._receive), ends):
            threading.Thread(target=what, args=(sock,), daemon=True).start()

    @staticmethod
    def _send(sock):
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(bytes(1 << 18))

    def _receive(self, sock):
        watched = self.progress.watch(sock)
        with contextlib.suppress(OSError):
            while watched.recv(1 << 18):
                pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)     # close() alone does not wake who waits
            sock.close()


class Flapper:
    """What may happen to the WANs of a lab: the carrier is lost, packets vanish, or the address is
    another one (and the old one again, when it is to come back)."""

    def __init__(self, lab):
        self.lab = lab
        self._gone = {}

    def gone(self, link):
        return link in self._gone

    def go(self, link, how):
        """Returns when, as time.monotonic()."""
        self._gone[link] = how
        if how == "address":
            self._address(link, self._wan(link).cpe_addr4, self.other_address(link))
        else:
            self.lab.link[link].mode("down" if how == "carrier" else "blackhole")
        return time.monotonic()

    def back(self, link):
        how = self._gone.pop(link)
        if how == "address":
            self._address(link, self.other_address(link), self._wan(link).cpe_addr4)
        else:
            self.lab.link[link].mode("down" if how == "carrier" else "blackhole", False)
        return time.monotonic()

    def all_back(self):
        for link in list(self._gone):
            self.back(link)

    def _wan(self, link):
        return next(wan for wan in self.lab.wan if wan.name == link)

    def other_address(self, link):
        return f"{self._wan(link).cpe_addr4.rpartition('.')[0]}.{OTHER}"

    def _address(self, link, old, new):
        """As after a DHCP lease with another address: the old one is gone at once, and with it the
        default route."""
        wan = self._wan(link)
        self.lab.cpe.ip(f"addr del {old}/24 dev {link}", f"addr add {new}/24 dev {link}",
                        f"route replace default via {wan.net_addr4} dev {link} metric {wan.metric}")

    def carries(self, link, way="down", seconds=0.1, share=0.1):
        """Whether a link carries a share of its rate now."""
        rate = self._wan(link).link.rate * 1e6
        return self.lab.link[link].carried(way, seconds) * 8 / seconds > share * rate

    def is_joined(self, link):
        """Whether the converter's host has a subflow from the link's usual address that can carry data. (One
        that is closing still sends what it had.)"""
        wan = self._wan(link)
        seen = self.lab.conv.run("ss -Htn state established").stdout
        return any(f" {addr}:" in seen or f"[{addr}]:" in seen for addr in (wan.cpe_addr4, wan.cpe_addr6) if addr)

    def is_back(self, link, way="down"):
        """Whether it is used again."""
        return self.carries(link, way) and self.is_joined(link)
