# SPDX-License-Identifier: ISC
"""ICMP echo, with the kernel's time stamps for what comes back."""

import os
import select
import socket
import struct
import time

SO_TIMESTAMPNS = 35


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ping(ns, address, count=10, interval=0.02, size=56, timeout=2.0):
    """Echo `address` from a namespace; the round trips in ms, None for each that did not come back."""
    v6 = ":" in address
    family, proto = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    request, reply = (128, 129) if v6 else (8, 0)
    token = os.urandom(8)
    body = (token + bytes(size + size % 2))[:max(8, size + size % 2)]
    sent, result = {}, [None] * count

    def take(deadline):
        """Take answers until the time is `deadline`, or all are there."""
        while None in result:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([sock], [], [], left)[0]:
                return
            data, ancillary, _, _ = sock.recvmsg(65536, 256)
            arrived = struct.unpack("qq", ancillary[0][2][:16])
            data = data if v6 else data[(data[0] & 15) * 4:]
            number = struct.unpack("!H", data[6:8])[0]
            if data[0] == reply and data[8:16] == token and number in sent and result[number] is None:
                result[number] = (arrived[0] * 10**9 + arrived[1] - sent[number]) / 1e6

    with ns.socket(family, socket.SOCK_RAW, proto) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        for number in range(count):
            head = struct.pack("!BBHHH", request, 0, 0, os.getpid() & 0xFFFF, number)
            check = 0 if v6 else _checksum(head + body)
            packet = head[:2] + struct.pack("!H", check) + head[4:] + body
            sent[number] = time.time_ns()
            try:
                sock.sendto(packet, (address, 0))
            except OSError:
                pass            # no route, no carrier: an echo that does not come back
            take(time.monotonic() + (interval if number < count - 1 else timeout))
    return result
