# SPDX-License-Identifier: ISC
"""A Convert codec (RFC 8803) for tests, written from the RFC and not from the C one."""

import ipaddress
import os
import struct

MAGIC = 0x2263
INFO, CONNECT, EXTENDED_HEADER, SUPPORTED, COOKIE, ERROR = 0x01, 0x0A, 0x14, 0x15, 0x16, 0x1E
ECHO, VERDICT = 0xC0, 0xC1

UNSUPPORTED_VERSION, MALFORMED, UNSUPPORTED_MESSAGE, MISSING_COOKIE = 0, 1, 2, 3
NOT_AUTHORIZED, UNSUPPORTED_TCP_OPTION = 32, 33
RESOURCE_EXCEEDED, NETWORK_FAILURE = 64, 65
CONNECTION_RESET, DESTINATION_UNREACHABLE = 96, 97


def tlv(kind, value, words=None):
    """A TLV, padded; `words` is the Length if it is to be a wrong one."""
    value += bytes(-(len(value) + 2) % 4)
    return struct.pack("!BB", kind, (len(value) + 2) // 4 if words is None else words) + value


def message(*tlvs, version=1, magic=MAGIC, words=None):
    body = b"".join(tlvs)
    return struct.pack("!BBH", version, len(body) // 4 + 1 if words is None else words, magic) + body


def connect(address, port, options=b""):
    ip = ipaddress.ip_address(address)
    packed = b"\0" * 10 + b"\xff\xff" + ip.packed if ip.version == 4 else ip.packed
    return tlv(CONNECT, struct.pack("!H", port) + packed + options)


def echo(nonce=None, flags=0, patience=0):
    """Without a nonce one that nobody has said before."""
    if nonce is None:
        nonce, = struct.unpack("!Q", os.urandom(8))
    return tlv(ECHO, struct.pack("!BBQ", flags, patience, nonce))


def info():
    return tlv(INFO, b"\0\0")


def cookie(value):
    return tlv(COOKIE, b"\0\0" + value)


def error(code, value=b""):
    return tlv(ERROR, bytes([code]) + value)


class Message:
    """A decoded message: `tlvs` is a list of (type, value), `rest` the bytes behind it."""

    def __init__(self, data):
        version, words, magic = struct.unpack("!BBH", data[:4])
        assert (version, magic) == (1, MAGIC) and words > 0
        assert len(data) >= 4 * words
        body, self.rest = data[4:4 * words], data[4 * words:]
        self.tlvs = []
        while body:
            kind, length = body[0], 4 * body[1]
            assert 4 <= length <= len(body)
            self.tlvs.append((kind, body[2:length]))
            body = body[length:]

    @property
    def kinds(self):
        return [kind for kind, _ in self.tlvs]

    def value(self, kind):
        return next(value for k, value in self.tlvs if k == kind)

    def server(self):
        """(address, port) of the Connect TLV."""
        value = self.value(CONNECT)
        ip = ipaddress.IPv6Address(value[2:18])
        return str(ip.ipv4_mapped or ip), struct.unpack("!H", value[:2])[0]

    def echo(self):
        """(flags, patience, nonce) of the Echo TLV."""
        return struct.unpack("!BBQ", self.value(ECHO))

    def error(self):
        """(code, value) of the Error TLV."""
        value = self.value(ERROR)
        return value[0], value[1:]


def read(sock):
    """One message from a socket, and nothing behind it; the whole as bytes."""
    data = b""
    need = 4
    while len(data) < need:
        part = sock.recv(need - len(data))
        if not part:
            raise EOFError(f"the connection ended within a message: {data.hex()}")
        data += part
        if len(data) == 4:
            need = 4 * data[1]
    return data
