# SPDX-License-Identifier: ISC
"""A Convert message (RFC 8803) in words, for people. plait's own codec is src/wire."""

import ipaddress

MAGIC = 0x2263
NAMES = {0x01: "Info", 0x0A: "Connect", 0x14: "Extended TCP Header",
         0x15: "Supported TCP Extensions", 0x16: "Cookie", 0x1E: "Error", 0xC0: "Echo"}


def describe(data):
    """Lines that tell what the message at the start of `data` says; ValueError if there is none."""
    if len(data) < 4 or int.from_bytes(data[2:4], "big") != MAGIC:
        raise ValueError("no Convert message: the magic number is missing")
    total = data[1] * 4
    lines = [f"fixed header   version {data[0]}, {total} bytes in all, magic 0x{MAGIC:04x}"]
    at = 4
    while at < total:
        kind, size = data[at], data[at + 1] * 4
        if size == 0 or at + size > min(total, len(data)):
            raise ValueError(f"a TLV at byte {at} does not fit into the message")
        name = f"{NAMES.get(kind, f'TLV 0x{kind:02x}')} TLV"
        lines.append(f"{name:14} {_value(kind, data[at + 2:at + size])}")
        at += size
    return lines


def _value(kind, value):
    if kind == 0x0A and len(value) >= 18:
        address = ipaddress.IPv6Address(value[2:18])
        port = int.from_bytes(value[:2], "big")
        address = address.ipv4_mapped or f"[{address}]"
        return f"\"connect me to {address}:{port}\""
    if kind == 0xC0 and len(value) == 10:
        return f"nonce {value[2:].hex()}, which the answer must repeat; flags 0x{value[0]:02x}"
    return value.hex()


def hex_dump(data):
    """Lines of 16 bytes."""
    return [f"{at:04x}  {data[at:at + 16].hex(' ')}" for at in range(0, len(data), 16)]
