# SPDX-License-Identifier: ISC
"""Scripted TCP peers in a lab's namespaces: servers, clients, and content that tells if it arrived."""

import errno
import hashlib
import itertools
import os
import queue
import socket
import struct
import threading
import time

MPTCP = 262
FASTOPEN_NO_COOKIE = 34
CHUNK = 1 << 18
MB = 1 << 20

_ports = itertools.count(7001)


class Task:
    """`func(...)` in a thread of its own; result() waits for its value, or raises its exception."""

    def __init__(self, func, *args, **kwargs):
        self._done = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(func, args, kwargs), daemon=True)
        self._thread.start()

    def _run(self, func, args, kwargs):
        try:
            self._done.put((func(*args, **kwargs), None))
        except BaseException as error:      # handed to the caller
            self._done.put((None, error))

    def running(self):
        return self._thread.is_alive()

    def result(self, timeout=60):
        try:
            value, error = self._done.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"not done after {timeout} s") from None
        if error:
            raise error
        return value


class Server:
    """A TCP server on all addresses of a namespace, on a port of its own.

    Each connection is served by `handler(conn)` in a thread; its values come out of result() in the
    order in which they end. `peers` are the addresses of those that connected.
    """

    def __init__(self, ns, handler, port=None, proto=0, timeout=60, setup=None):
        self.port = port or next(_ports)
        self.handler = handler
        self.peers = []
        self._ended = queue.Queue()
        self._timeout = timeout
        self._sock = ns.socket(socket.AF_INET6, proto=proto)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if setup:
            setup(self._sock)
        self._sock.bind(("::", self.port))
        self._sock.listen(1024)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, peer = self._sock.accept()
            except OSError:
                return
            self.peers.append(peer[0].removeprefix("::ffff:"))
            threading.Thread(target=self._one, args=(conn,), daemon=True).start()

    def _one(self, conn):
        with conn:
            conn.settimeout(self._timeout)
            try:
                self._ended.put((self.handler(conn), None))
            except Exception as error:      # handed to the caller
                self._ended.put((None, error))

    def result(self, timeout=60):
        try:
            value, error = self._ended.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"no connection ended within {timeout} s") from None
        if error:
            raise error
        return value

    def close(self):
        try:
            self._sock.shutdown(socket.SHUT_RDWR)   # close() alone does not wake accept()
        except OSError:
            pass
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def connect(ns, address, port, timeout=60, source=None, proto=0):
    """A connected socket of `ns`."""
    sock = ns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, proto=proto)
    sock.settimeout(timeout)
    if source:
        sock.bind((source, 0))
    try:
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def send(sock, size, end=True):
    """Send random content, then a FIN; (bytes, digest) of it."""
    digest = hashlib.sha256()
    left = size
    while left:
        part = os.urandom(min(left, CHUNK))
        digest.update(part)
        sock.sendall(part)
        left -= len(part)
    if end:
        sock.shutdown(socket.SHUT_WR)
    return size, digest.hexdigest()


def receive(sock, size=None):
    """Receive to the FIN, or `size` bytes; (bytes, digest)."""
    digest = hashlib.sha256()
    total = 0
    while size is None or total < size:
        part = sock.recv(1 << 20 if size is None else min(1 << 20, size - total))
        if not part:
            break
        digest.update(part)
        total += len(part)
    return total, digest.hexdigest()


class Transfer:
    """One transfer of a LAN host that runs meanwhile; at the end of its block every byte has arrived.
    `watch`, given the receiver's socket, returns the one that it reads from."""

    def __init__(self, lab, way, size, family="4", watch=lambda sock: sock):
        halves = (lambda sock: send(sock, size)), (lambda sock: receive(watch(sock)))
        mine, theirs = halves if way == "up" else reversed(halves)
        self.server = Server(lab.server, theirs, timeout=120)
        self.client = connect(lab.host, getattr(lab.server, "addr" + family), self.server.port, timeout=120)
        self.task = Task(mine, self.client)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                assert self.task.result(120) == self.server.result(120)
        finally:
            self.client.close()
            self.server.close()


def exactly(sock, size):
    """`size` bytes, or what came before the FIN."""
    data = b""
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return data


def to_end(sock):
    """All bytes up to the FIN."""
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def echo(conn):
    """Send back what comes, until the FIN; the number of bytes."""
    total = 0
    while part := conn.recv(1 << 18):
        conn.sendall(part)
        total += len(part)
    return total


def upper(conn):
    """Answer a short request by itself in capitals; the request."""
    request = to_end(conn)
    conn.sendall(request.upper())
    return request


def ask(ns, address, port, request=b"hello", **options):
    """Send a request and a FIN; the answer."""
    with connect(ns, address, port, **options) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        return to_end(sock)


def reset(sock):
    """Close with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def ends_with_reset(sock):
    """Read on; whether the end is a RST."""
    try:
        to_end(sock)
    except ConnectionResetError:
        return True
    return False


def outcome(ns, address, port, timeout=60):
    """What connect() says: "open", the name of an errno, or "no answer"; and after how many seconds."""
    start = time.monotonic()
    try:
        connect(ns, address, port, timeout=timeout).close()
        said = "open"
    except TimeoutError as error:
        said = errno.errorcode[error.errno] if error.errno else "no answer"
    except OSError as error:
        said = errno.errorcode[error.errno]
    return said, time.monotonic() - start


def is_mptcp(sock):
    return sock.getsockopt(socket.IPPROTO_TCP, 43) == 1
