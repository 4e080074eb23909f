# SPDX-License-Identifier: ISC
"""Starts and ends, clean and not: the system is as it was, and LAN hosts are never cut off."""

import json
import re

import pytest

from peer import Server, ask, connect, exactly, receive, send, upper
from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait
from plaitlab.flap import Flapper


@pytest.fixture(scope="module")
def lab():
    with Lab([Link("dsl", rate=100, delay=5), Link("lte", rate=100, delay=5)]) as lab:
        # iptables, where the gates need it, makes its built-in chains at its first use and leaves them.
        for ns in (lab.cpe, lab.conv):
            for program in ("iptables", "ip6tables"):
                for chain in ("INPUT", "OUTPUT"):
                    for do in ("-A", "-D"):
                        ns.run([program, "-t", "mangle", do, chain, "-j", "ACCEPT"])
        yield lab


@pytest.fixture
def plait(lab, request):
    plait = Plait(lab, start=False)
    request.addfinalizer(plait.stop)
    return plait


def settings(ns):
    """All that a daemon could have changed, as text."""
    return ns.run("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all | sort;"
                  "ip mptcp endpoint; ip mptcp limits; nft list ruleset;"
                  "grep . /proc/sys/net/mptcp/* /proc/sys/net/ipv4/tcp_fastopen /proc/sys/net/ipv4/tcp_rmem").stdout


@pytest.fixture
def as_before(lab, plait):
    """At the end of the test, when the daemons have stopped, the system is as it was."""
    before = [settings(ns) for ns in (lab.cpe, lab.conv)]
    yield before
    assert set(plait.stop()) <= {0}
    assert [settings(ns) for ns in (lab.cpe, lab.conv)] == before


def start(plait):
    plait.conv.start()
    plait.cpe.start()


def works(lab):
    """Connections work; whether they go through the converter."""
    with Server(lab.server, upper) as server:
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert ask(lab.host, lab.server.addr6, server.port) == b"HELLO"
        return {lab.conv.addr4, lab.conv.addr6} == set(server.peers)


def test_stop_restores_all(lab, plait, as_before):
    lab.cpe.sysctl("net.ipv4.tcp_fastopen", 0)
    try:
        start(plait)
        assert works(lab)
        log = plait.cpe.log()
        assert re.search(r"net\.mptcp\.blackhole_timeout: \d+ -> 0, until the end", log)
        assert "net.ipv4.tcp_fastopen: 0 -> 1, until the end" in log
        assert re.search(r"MPTCP limits: subflows \d+ -> 8", plait.conv.log())
        assert settings(lab.cpe) != as_before[0]
        assert plait.stop() == [0, 0]
        assert "net.ipv4.tcp_fastopen: 1 -> 0, as before" in plait.cpe.log()
        assert lab.cpe.sysctl("net.ipv4.tcp_fastopen") == "0"
    finally:
        lab.cpe.sysctl("net.ipv4.tcp_fastopen", 1)


def test_somebody_elses_change_is_left(lab, plait):
    usual = lab.cpe.sysctl("net.mptcp.blackhole_timeout")
    try:
        start(plait)
        lab.cpe.sysctl("net.mptcp.blackhole_timeout", 77)
        assert plait.stop() == [0, 0]
        assert lab.cpe.sysctl("net.mptcp.blackhole_timeout") == "77"
    finally:
        lab.cpe.sysctl("net.mptcp.blackhole_timeout", usual)


def test_stop_in_mid_transfer(lab, plait, as_before):
    """Both ends learn that it is over, and do not wait for ever."""
    start(plait)
    with Server(lab.server, lambda conn: send(conn, 1 << 30)) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        exactly(client, 1 << 20)
        assert plait.cpe.stop() == 0
        with pytest.raises((ConnectionResetError, TimeoutError)):
            receive(client)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            server.result()


def test_kill_the_cpe(lab, plait, as_before):
    """LAN hosts then go the kernel's way, until it is there again."""
    start(plait)
    assert works(lab)
    plait.cpe.kill()
    with Server(lab.server, upper) as server:
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert ask(lab.host, lab.server.addr6, server.port) == b"HELLO"
        assert server.peers == [lab.host.addr4, lab.host.addr6]
    plait.cpe.start()
    assert works(lab)
    assert "an earlier run ended without putting its settings back" in plait.cpe.log()


def test_kill_the_converter(lab, plait, as_before):
    """Connections that it carried end; those behind them go direct until it is there again."""
    start(plait)
    with Server(lab.server, lambda conn: send(conn, 1 << 30)) as server, \
            connect(lab.host, lab.server.addr4, server.port) as client:
        exactly(client, 1 << 20)
        plait.conv.kill()
        with pytest.raises(ConnectionResetError):   # no FIN, which would say that this was all
            receive(client)
    assert not works(lab)
    plait.conv.start()
    wait_until(lambda: works(lab), 30, "the probe to find it, and the rules to follow")
    assert "answers again" in plait.cpe.log()


def test_kill_both_during_a_load(lab, plait, as_before):
    for _ in range(2):
        start(plait)
        with Server(lab.server, lambda conn: send(conn, 1 << 30)) as server:
            clients = [connect(lab.host, lab.server.addr4, server.port) for _ in range(10)]
            for client in clients:
                exactly(client, 10000)
            plait.cpe.kill()
            plait.conv.kill()
            for client in clients:
                client.close()
    start(plait)
    assert works(lab)


def test_second_daemon_of_its_kind(lab, plait, as_before):
    """It cannot start, says why, and does the first one no harm."""
    start(plait)
    second = Plait(lab, start=False).conv
    second.start(wait=False)
    assert second.proc.wait(10) == 1
    assert "error: " in second.log()
    assert works(lab)


# ---- what others configured

def test_what_others_configured_is_untouched(lab, plait):
    lines = ["mptcp endpoint add 10.10.1.1 id 7 signal", "rule add from 203.0.113.9 lookup 5 priority 100",
             "route add 203.0.113.0/24 via 10.20.1.1 table 5"]
    lab.cpe.ip(*lines)
    lab.cpe.run(["nft", "add table inet other; add chain inet other c"])
    try:
        before = settings(lab.cpe)
        start(plait)
        assert works(lab)
        plait.cpe.kill()
        plait.cpe.start()
        assert plait.stop() == [0, 0]
        assert settings(lab.cpe) == before
    finally:
        lab.cpe.ip(*(line.replace(" add ", " del ") for line in lines[1:]), "mptcp endpoint delete id 7")
        lab.cpe.run(["nft", "delete table inet other"])


# ---- links that come and go

def endpoints(lab):
    rows = json.loads(lab.cpe.run(["ip", "-j", "mptcp", "endpoint"]).stdout or "[]")
    return {row["address"] for row in rows}


def rules(lab, family="4"):
    rows = json.loads(lab.cpe.run(["ip", "-j", f"-{family}", "rule"]).stdout)
    return {row["src"] for row in rows if row["src"] != "all"}


def test_a_link_vanishes_and_comes_back(lab, plait, as_before):
    start(plait)
    dsl, lte = lab.wan
    assert endpoints(lab) == {dsl.cpe_addr4, dsl.cpe_addr6, lte.cpe_addr4, lte.cpe_addr6}
    assert rules(lab) == {dsl.cpe_addr4, lte.cpe_addr4}
    lab.cpe.ip("link set lte down")
    wait_until(lambda: endpoints(lab) == {dsl.cpe_addr4, dsl.cpe_addr6}, 10, "the endpoints to go")
    wait_until(lambda: rules(lab) == {dsl.cpe_addr4}, 10, "the rule to go")
    assert works(lab)
    lab.cpe.ip("link set lte up", f"addr replace {lte.cpe_addr6}/64 dev lte nodad",
               f"route add default via {lte.net_addr4} dev lte metric {lte.metric}",
               f"route add default via {lte.net_addr6} dev lte metric {lte.metric}")
    wait_until(lambda: len(endpoints(lab)) == 4, 10, "the endpoints to come back")
    wait_until(lambda: rules(lab) == {dsl.cpe_addr4, lte.cpe_addr4}, 10, "the rule to come back")
    assert works(lab)


@pytest.mark.parametrize("family", "46")
def test_a_rule_that_others_remove_is_put_back(lab, plait, as_before, family):
    """As network managers do that know only rules of their own."""
    start(plait)
    before = rules(lab, family)
    assert len(before) == 2
    lab.cpe.run(["ip", f"-{family}", "rule", "del", "from", min(before)])
    wait_until(lambda: rules(lab, family) == before, 10, "the rule to come back")


def test_a_new_address(lab, plait, as_before):
    start(plait)
    lte = lab.wan[1]
    def move(old, new):
        lab.cpe.ip(f"addr del {old}/24 dev lte", f"addr add {new}/24 dev lte",
                   f"route replace default via {lte.net_addr4} dev lte metric {lte.metric}")
        wait_until(lambda: {lab.wan[0].cpe_addr4, new} < endpoints(lab), 10, "the new endpoint")
        wait_until(lambda: old not in endpoints(lab), 10, "the old endpoint to go")
        wait_until(lambda: rules(lab) == {lab.wan[0].cpe_addr4, new}, 10, "the rules to follow")
        assert works(lab)

    move(lte.cpe_addr4, "10.20.2.77")
    move("10.20.2.77", lte.cpe_addr4)


def test_another_prefix(lab, plait, as_before):
    """As when a router is renumbered: the old IPv6 address is deprecated, and goes later."""
    start(plait)
    lte = lab.wan[1]
    new, router = "2001:db8:20:77::2", "2001:db8:20:77::1"
    lab.net.ip(f"addr add {router}/64 dev lte nodad")
    try:
        lab.cpe.ip(f"addr add {new}/64 dev lte nodad", f"addr change {lte.cpe_addr6}/64 dev lte preferred_lft 0",
                   f"route replace default via {router} dev lte metric {lte.metric}")
        wait_until(lambda: new in endpoints(lab) and lte.cpe_addr6 not in endpoints(lab), 10, "the endpoint to follow")
        wait_until(lambda: rules(lab, "6") == {lab.wan[0].cpe_addr6, new}, 10, "the rules to follow")
        assert works(lab)
    finally:
        lab.cpe.ip(f"addr del {new}/64 dev lte", f"addr change {lte.cpe_addr6}/64 dev lte preferred_lft forever",
                   f"route replace default via {lte.net_addr6} dev lte metric {lte.metric}")
        lab.net.ip(f"addr del {router}/64 dev lte")
    wait_until(lambda: lte.cpe_addr6 in endpoints(lab), 10, "the endpoint to come back")


def test_first_link_is_down(lab, plait, as_before):
    """The first subflow goes over a link that works."""
    start(plait)
    lab.link["dsl"].mode("down")
    wait_until(lambda: lab.wan[0].cpe_addr4 not in endpoints(lab), 10, "the CPE to notice")
    assert works(lab)
    lab.link["dsl"].mode("down", False)
    wait_until(lambda: lab.wan[0].cpe_addr4 in endpoints(lab), 10, "the CPE to notice")
    assert works(lab)


def test_interface_that_does_not_exist_yet():
    """It is waited for, and said."""
    with Lab([Link("dsl", rate=100, delay=5)]) as one:
        plait = Plait(one, start=False)
        path = plait.cpe.config_path
        with open(path, "a", encoding="utf-8") as file:
            file.write('wan "usb" { interface = "usb0" }\n')
        start(plait)
        assert "no interface usb0" in plait.cpe.log()
        assert works(one)
        one.cpe.ip("link add usb0 type veth peer name usb1", "link set usb1 up", "link set usb0 up",
                   "addr add 10.99.0.2/24 dev usb0",
                   "route add default via 10.99.0.1 dev usb0 metric 500")
        wait_until(lambda: "10.99.0.2" in endpoints(one), 10, "the new link's endpoint")
        assert plait.stop() == [0, 0]


def test_point_to_point():
    """A link as PPP makes it: it appears with one address, its peer's, and a default route without a gateway;
    a running connection is joined over it, and goes on when the other link vanishes."""
    with Lab([Link("dsl", rate=100, delay=5), Link("ppp0", rate=100, delay=5)], families="4") as one:
        plait = Plait(one, start=False)
        dsl, ppp = one.wan
        one.net.sysctl("net.ipv4.conf.ppp0.proxy_arp", 1)
        one.cpe.ip("link set ppp0 down", f"addr del {ppp.cpe_addr4}/24 dev ppp0")
        start(plait)
        assert endpoints(one) == {dsl.cpe_addr4}
        with Server(one.server, lambda conn: send(conn, 1 << 30)) as server, \
                connect(one.host, one.server.addr4, server.port) as client:
            exactly(client, 1 << 20)
            one.cpe.ip("link set ppp0 up", f"addr add {ppp.cpe_addr4} peer {ppp.net_addr4}/32 dev ppp0",
                       f"route add default dev ppp0 metric {ppp.metric}")
            wait_until(lambda: exactly(client, 1 << 20) and Flapper(one).is_joined("ppp0"), 10, "the link to be joined")
            one.cpe.ip("link set dsl down")
            assert len(exactly(client, 8 << 20)) == 8 << 20
        assert endpoints(one) == {ppp.cpe_addr4}
        assert plait.stop() == [0, 0]
