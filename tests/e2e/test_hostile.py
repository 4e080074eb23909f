# SPDX-License-Identifier: ISC
"""Clients of the converter that are not plait's: of other makes, odd, defective and hostile ones."""

import os
import re
import socket
import time

import pytest

import convert
from convert import Message, connect as connect_tlv, echo as echo_tlv, message, tlv
from conftest import TOP
from peer import FASTOPEN_NO_COOKIE, MPTCP, Server, is_mptcp, to_end
from plaitlab import wait_until
from plaitlab.daemons import Plait

TCP = 0


@pytest.fixture(scope="module")
def plait(lab):
    """The converter alone; its clients run in the CPE's namespace, among others."""
    plait = Plait(lab, start=False,
                  conv={"deny_to": ["203.0.113.0/24"], "allow_to": ["10.77.0.0/16"]})
    plait.conv.start()
    yield plait
    assert plait.conv.stop() == 0
    assert "ERROR: " not in plait.conv.log() and "runtime error" not in plait.conv.log()


def open_client(lab, ns=None, proto=MPTCP, syn=b"", family="4"):
    """A client of the converter, with `syn` in its SYN."""
    v6 = family == "6"
    sock = (ns or lab.cpe).socket(socket.AF_INET6 if v6 else socket.AF_INET, proto=proto)
    sock.settimeout(15)
    to = (lab.conv.addr6 if v6 else lab.conv.addr4, 5124)
    if syn:
        sock.setsockopt(socket.IPPROTO_TCP, FASTOPEN_NO_COOKIE, 1)
        sock.sendto(syn, socket.MSG_FASTOPEN, to)
    else:
        sock.connect(to)
    return sock


def answer_to(lab, data, **options):
    """What the converter says to a message that is refused: all bytes up to its FIN."""
    with open_client(lab, syn=data, **options) as sock:
        return to_end(sock)


def served(lab, server):
    """The converter serves a good client still."""
    request = message(connect_tlv(lab.server.addr4, server.port), echo_tlv())
    with open_client(lab, syn=request) as sock:
        assert Message(convert.read(sock)).kinds == [convert.CONNECT, convert.ECHO]
        sock.sendall(b"still here")
        sock.shutdown(socket.SHUT_WR)
        assert to_end(sock) == b"STILL HERE"
    assert server.result() == b"still here"


# ---- other ways to bring the message

def pieces(sock, data):
    """Byte by byte, each in a segment of its own."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for n in range(len(data)):
        sock.sendall(data[n:n + 1])
        time.sleep(0.002)       # not to wait for something: this is what the client is like


@pytest.mark.parametrize("proto", [TCP, MPTCP], ids=["tcp", "mptcp"])
@pytest.mark.parametrize("way", ["syn", "first bytes", "pieces", "with data"])
@pytest.mark.parametrize("family", ["4", "6"])
def test_ways_to_bring_it(lab, plait, server, proto, way, family):
    before = plait.conv.status()["counters"]
    address = getattr(lab.server, "addr" + family)
    request = message(connect_tlv(address, server.port), echo_tlv())
    sock = open_client(lab, proto=proto, family=family, syn=request if way == "syn" else b"")
    with sock:
        if way == "pieces":
            pieces(sock, request)
        elif way == "first bytes":
            sock.sendall(request)
        elif way == "with data":
            sock.sendall(request + b"and more: ")
        assert convert.read(sock) == request        # patience 0, so the echo is the same
        sock.sendall(b"data")
        sock.shutdown(socket.SHUT_WR)
        expected = b"and more: data" if way == "with data" else b"data"
        assert to_end(sock) == expected.upper()
        assert is_mptcp(sock) == (proto == MPTCP)
    assert server.result() == expected
    after = plait.conv.status()["counters"]
    assert after["on_syn"] - before["on_syn"] == (way == "syn")
    assert after["tcp_clients"] - before["tcp_clients"] == (proto == TCP)
    assert after["converted"] - before["converted"] == 1


def test_data_in_the_syn_behind_the_message(lab, plait, server):
    request = message(connect_tlv(lab.server.addr4, server.port), echo_tlv())
    with open_client(lab, syn=request + b"early") as sock:
        assert convert.read(sock) == request
        sock.shutdown(socket.SHUT_WR)
        assert to_end(sock) == b"EARLY"
    assert server.result() == b"early"


@pytest.mark.parametrize("family", ["4", "6"])
def test_a_client_without_echo(lab, plait, server, family):
    """Any other RFC 8803 client: the answer is the Extended TCP Header TLV (6.2.6)."""
    address = getattr(lab.server, "addr" + family)
    with open_client(lab, family=family, syn=message(connect_tlv(address, server.port))) as sock:
        answer = Message(convert.read(sock))
        assert answer.kinds == [convert.EXTENDED_HEADER]
        assert answer.value(convert.EXTENDED_HEADER)[:2] == b"\0\0"
        sock.sendall(b"data")
        sock.shutdown(socket.SHUT_WR)
        assert to_end(sock) == b"DATA"
    assert server.result() == b"data"


def test_extended_connect(lab, plait, server):
    """With TCP options in the Connect TLV (7): they are echoed, and the server's are told."""
    options = bytes([4, 2, 8, 2]) + bytes([1, 1, 0, 0])
    request = message(connect_tlv(lab.server.addr4, server.port, options), echo_tlv())
    with open_client(lab, syn=request) as sock:
        answer = Message(convert.read(sock))
        assert answer.kinds == [convert.CONNECT, convert.ECHO, convert.EXTENDED_HEADER]
        assert answer.value(convert.CONNECT) == Message(request).value(convert.CONNECT)
        assert answer.value(convert.EXTENDED_HEADER)[2:4] == bytes([4, 2])      # SACK permitted
        sock.shutdown(socket.SHUT_WR)
        to_end(sock)
    assert server.result() == b""


def test_extended_connect_asks_for_mptcp(lab, plait):
    """Option 30 (7.5): MPTCP towards the server too."""
    with Server(lab.server, lambda conn: (is_mptcp(conn), to_end(conn)), proto=MPTCP) as server:
        for options, expected in ((b"", False), (bytes([30, 2, 0, 0]), True)):
            request = message(connect_tlv(lab.server.addr4, server.port, options), echo_tlv())
            with open_client(lab, syn=request) as sock:
                convert.read(sock)
            assert server.result() == (expected, b"")


def test_info(lab, plait):
    """The answer lists the TCP options that may be asked for (6.2.4)."""
    before = plait.conv.counter("info")
    answer = Message(answer_to(lab, message(convert.info())))
    assert answer.kinds == [convert.SUPPORTED] and answer.rest == b""
    assert answer.value(convert.SUPPORTED)[:5] == b"\0\0" + bytes([4, 8, 30])
    assert plait.conv.counter("info") == before + 1


def test_server_that_refuses(lab, plait):
    code, value = Message(answer_to(lab, message(connect_tlv(lab.server.addr4, 9), echo_tlv()))).error()
    assert (code, value[0]) == (convert.CONNECTION_RESET, 0)


def test_no_way_to_the_server(lab, plait):
    """A failure that is the converter's network's own: Network Failure, with the default delay."""
    lab.conv.ip("route add blackhole 198.51.100.200")
    try:
        error = Message(answer_to(lab, message(connect_tlv("198.51.100.200", 80), echo_tlv()))).error()
    finally:
        lab.conv.ip("route del blackhole 198.51.100.200")
    assert error[:1] + (error[1][0],) == (convert.NETWORK_FAILURE, 0)


def test_out_of_ports(lab, plait, server):
    """Resource Exceeded, and served again when there is one."""
    before = lab.conv.sysctl("net.ipv4.ip_local_port_range")
    request = lambda: message(connect_tlv(lab.server.addr4, server.port), echo_tlv())
    lab.conv.sysctl("net.ipv4.ip_local_port_range", "40000 40000")
    try:
        with open_client(lab, syn=request()) as sock:
            assert Message(convert.read(sock)).kinds == [convert.CONNECT, convert.ECHO]
            code, value = Message(answer_to(lab, request())).error()
            assert (code, value[0]) == (convert.RESOURCE_EXCEEDED, 0)
            sock.shutdown(socket.SHUT_WR)
            to_end(sock)
    finally:
        lab.conv.sysctl("net.ipv4.ip_local_port_range", before)
    assert server.result() == b""
    with open_client(lab, syn=request()) as sock:
        assert Message(convert.read(sock)).kinds == [convert.CONNECT, convert.ECHO]
    server.result()


def test_error_repeats_the_nonce(lab, plait):
    request = message(connect_tlv(lab.server.addr4, 9), echo_tlv())
    answer = Message(answer_to(lab, request))
    assert answer.kinds == [convert.ERROR, convert.ECHO]
    assert answer.echo() == Message(request).echo()


# ---- defects: the name, a message that has it, and the Error TLV (None: a reset)

GOOD = connect_tlv("198.51.100.18", 80)
DEFECTS = {
    "magic_wrong": (message(GOOD, magic=0x2264), None),
    "magic_wrong http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
    "version_unsupported": (message(GOOD, version=2), convert.UNSUPPORTED_VERSION),
    "version_unsupported 0": (message(GOOD, version=0), convert.UNSUPPORTED_VERSION),
    "total_length_zero": (message(GOOD, words=0), None),
    "no_tlv": (message(), convert.MALFORMED),
    "tlv_length_zero": (message(tlv(convert.CONNECT, bytes(18), words=0)), convert.MALFORMED),
    "tlv_length_wrong short": (message(tlv(convert.CONNECT, bytes(14))), convert.MALFORMED),
    "tlv_length_wrong long": (message(tlv(convert.INFO, bytes(6))), convert.MALFORMED),
    "tlv_overrun": (message(tlv(convert.CONNECT, bytes(18), words=6)), convert.MALFORMED),
    "tlv_duplicate": (message(GOOD, GOOD), convert.MALFORMED),
    "tlv_reserved": (message(tlv(0, bytes(2))), convert.UNSUPPORTED_MESSAGE),
    "tlv_unknown": (message(GOOD, tlv(0x77, bytes(2))), convert.UNSUPPORTED_MESSAGE),
    "tlv_misplaced": (message(GOOD, convert.error(0)), convert.UNSUPPORTED_MESSAGE),
    "no_request": (message(echo_tlv()), convert.UNSUPPORTED_MESSAGE),
    "connect_address loopback": (message(connect_tlv("127.0.0.1", 80)), convert.MALFORMED),
    "connect_address loopback6": (message(connect_tlv("::1", 80)), convert.MALFORMED),
    "connect_address multicast": (message(connect_tlv("224.0.0.1", 80)), convert.MALFORMED),
    "connect_address multicast6": (message(connect_tlv("ff02::1", 80)), convert.MALFORMED),
    "connect_address broadcast": (message(connect_tlv("255.255.255.255", 80)), convert.MALFORMED),
    "connect_address unspecified": (message(connect_tlv("0.0.0.0", 80)), convert.MALFORMED),
    "connect_address unspecified6": (message(connect_tlv("::", 80)), convert.MALFORMED),
    "connect_address port": (message(connect_tlv("198.51.100.18", 0)), convert.MALFORMED),
    "tcp_option_malformed": (message(connect_tlv("198.51.100.18", 80, bytes([8, 9, 0, 0]))),
                             convert.MALFORMED),
    "tcp_option_unsupported": (message(connect_tlv("198.51.100.18", 80, bytes([19, 2, 29, 2]))),
                               convert.UNSUPPORTED_TCP_OPTION),
}


def test_every_defect_has_a_case():
    with open(os.path.join(TOP, "src", "wire", "convert.h"), encoding="utf-8") as file:
        table = file.read().split("#define CONVERT_DEFECTS(X)")[1].split("\n\n")[0]
    assert set(re.findall(r"X\((\w+),", table)) == {name.split()[0].upper() for name in DEFECTS}


def check_error(data, code, answer):
    """The Error TLV that RFC 8803 6.2.8 prescribes: which Value goes with which code."""
    m = Message(answer)
    assert m.kinds == [convert.ERROR] and m.rest == b""
    got, value = m.error()
    assert got == code
    if code == convert.UNSUPPORTED_VERSION:
        assert value == b"\x01"
    elif code == convert.UNSUPPORTED_TCP_OPTION:
        assert value.rstrip(b"\0") == bytes([19, 29])
    elif code in (convert.MALFORMED, convert.UNSUPPORTED_MESSAGE):
        assert value[:1] == b"\0" and value[1:] == data


@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("proto", [TCP, MPTCP], ids=["tcp", "mptcp"])
def test_defect(lab, plait, server, name, proto):
    data, code = DEFECTS[name]
    before = plait.conv.counter("defective")
    if code is None:
        with pytest.raises((ConnectionResetError, ConnectionRefusedError)):
            answer_to(lab, data, proto=proto)
    else:
        # All of it was readable, up to a FIN and no RST, although nothing was read before.
        answer = answer_to(lab, data, proto=proto)
        if code != convert.UNSUPPORTED_VERSION:
            check_error(data, code, answer)
        else:
            assert Message(answer).error()[0] == code
    assert plait.conv.counter("defective") == before + 1


def test_defects_with_much_data_behind(lab, plait):
    """What the client goes on sending must not turn the Error TLV into a RST (6.2.2)."""
    data, code = DEFECTS["tlv_unknown"]
    with open_client(lab, proto=TCP) as sock:
        sock.sendall(data + bytes(200000))
        check_error(data, code, to_end(sock))


def test_serves_on_after_all_that(lab, plait, server):
    served(lab, server)
    assert plait.conv.proc.poll() is None
    assert plait.conv.log().count("client 10.20.") < 60     # the log is rate-limited


@pytest.mark.parametrize("proto", [TCP, MPTCP], ids=["tcp", "mptcp"])
def test_half_a_message_and_a_fin(lab, plait, server, proto):
    with open_client(lab, proto=proto) as sock:
        sock.sendall(GOOD[:10])
        sock.shutdown(socket.SHUT_WR)
        try:
            assert to_end(sock) == b""
        except ConnectionResetError:
            pass
    wait_until(lambda: plait.conv.status()["sessions"] == 0, 10, "the session to end")


def test_half_a_message_for_ever(lab, plait, server):
    """It is reset after some seconds, and others are served meanwhile."""
    before = plait.conv.counter("too_late")
    with open_client(lab, proto=TCP) as sock:
        sock.sendall(message(GOOD)[:10])
        served(lab, server)
        with pytest.raises(ConnectionResetError):
            to_end(sock)
    assert plait.conv.counter("too_late") == before + 1


# ---- who is served, and where to

def refused(lab, address, **options):
    answer = Message(answer_to(lab, message(connect_tlv(address, 80), echo_tlv()), **options))
    return answer.error()[0]


def test_client_that_is_not_in_clients(lab, plait):
    before = plait.conv.counter("not_authorized")
    assert refused(lab, lab.server.addr4, ns=lab.server) == convert.NOT_AUTHORIZED
    answer = answer_to(lab, message(convert.info()), ns=lab.server)
    assert Message(answer).error()[0] == convert.NOT_AUTHORIZED
    assert plait.conv.counter("not_authorized") == before + 2


@pytest.mark.parametrize("address", [
    "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "169.254.169.254", "198.18.0.1", "240.0.0.1",
    "fd00::1", "fe80::1", "64:ff9b::a00:1", "2002:a00:1::1", "203.0.113.7"])
def test_server_that_is_denied(lab, plait, address):
    assert refused(lab, address) == convert.NOT_AUTHORIZED


@pytest.mark.parametrize("family", ["4", "6"])
def test_its_own_addresses_are_denied(lab, plait, family):
    assert refused(lab, getattr(lab.conv, "addr" + family), family=family) == convert.NOT_AUTHORIZED


def test_new_own_addresses_are_denied(lab, plait):
    lab.conv.run(["ip", "addr", "add", "198.51.100.14/32", "dev", "lo"])
    try:
        wait_until(lambda: refused(lab, "198.51.100.14") == convert.NOT_AUTHORIZED, 5,
                   "the new address to be refused")
    finally:
        lab.conv.run(["ip", "addr", "del", "198.51.100.14/32", "dev", "lo"])


def test_allow_to_opens_private_ranges(lab, plait, server):
    lab.server.run(["ip", "addr", "add", "10.77.0.1/32", "dev", "lo"])
    lab.net.run(["ip", "route", "add", "10.77.0.1/32", "via", lab.server.addr4])
    request = message(connect_tlv("10.77.0.1", server.port), echo_tlv())
    with open_client(lab, syn=request) as sock:
        assert convert.read(sock) == request
        sock.shutdown(socket.SHUT_WR)
        assert to_end(sock) == b""
    assert server.result() == b""


# ---- the third ACK

@pytest.mark.parametrize("proto", [TCP, MPTCP], ids=["tcp", "mptcp"])
@pytest.mark.parametrize("kind", ["success", "refused", "defect"])
def test_delayed_third_ack(lab, plait, proto, kind):
    """The answer is ready long before the third ACK: it must wait for it, or it never arrives."""
    with Server(lab.server, lambda conn: conn.sendall(b"banner")) as server:
        request = {"success": message(connect_tlv(lab.server.addr4, server.port), echo_tlv()),
                   "refused": message(connect_tlv(lab.server.addr4, 9), echo_tlv()),
                   "defect": message(echo_tlv())}[kind]
        lab.link["dsl"].mode("hold-third-ack", 300, "up")
        with open_client(lab, proto=proto, syn=request) as sock:
            answer = to_end(sock)
    if kind == "success":
        assert answer == request + b"banner"
        server.result()
    else:
        assert Message(answer).error()[0] == (convert.CONNECTION_RESET if kind == "refused" else
                                              convert.UNSUPPORTED_MESSAGE)


# ---- cookies

def test_cookie(lab, plait, server):
    """6.2.7: Missing Cookie brings one; with it a client is served; a wrong one is refused."""
    plait.conv.stop()
    conv = Plait(lab, start=False, conv={"cookie": "required", "port": 5125}).conv.start()
    try:
        def ask(*tlvs):
            sock = lab.cpe.socket()
            sock.settimeout(15)
            sock.connect((lab.conv.addr4, 5125))
            sock.sendall(message(connect_tlv(lab.server.addr4, server.port), *tlvs))
            return sock

        with ask() as sock:
            code, value = Message(to_end(sock)).error()
        assert code == convert.MISSING_COOKIE and value[0] == 0 and len(value) > 8
        with ask(convert.cookie(value[1:].rstrip(b"\0") if len(value) % 4 else value[1:17])) as sock:
            assert Message(convert.read(sock)).kinds == [convert.EXTENDED_HEADER]
            sock.shutdown(socket.SHUT_WR)
            assert to_end(sock) == b""
        server.result()
        with ask(convert.cookie(bytes(16))) as sock:
            assert Message(to_end(sock)).error()[0] == convert.NOT_AUTHORIZED
        assert conv.counter("no_cookie") == 1
    finally:
        assert conv.stop() == 0
        plait.conv.start()
