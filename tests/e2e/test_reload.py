# SPDX-License-Identifier: ISC
"""The configuration, read again: what can change under running connections does, and they go on."""

import os
import signal
import socket

import pytest

from peer import MB, Server, Transfer, ask, connect, exactly, outcome
from plaitlab import Link, wait_until
from plaitlab.daemons import Plait

OTHER_PORT = 5125
LINKS = [Link("dsl", rate=60, delay=10), Link("lte", rate=40, delay=15)]


def converter(lab, port=5124):
    return f'converter "c1" {{ address = "{lab.conv.addr4}"  port = {port} }}\n'


def text(lab, lte="", dsl=True, more=None):
    """A CPE's configuration."""
    return ('lan { interfaces = {"lan"} }\n'
            + ('wan "dsl" { interface = "dsl" }\n' if dsl else "")
            + (f'wan "lte" {{ interface = "lte" {lte} }}\n' if lte is not None else "")
            + (converter(lab) if more is None else more))


@pytest.fixture
def plait(lab, start):
    plait = start()
    plait.cpe.configure(text(lab))
    return plait


def change(plait, config):
    """The CPE's configuration is another one from now on."""
    plait.cpe.configure(config)
    assert "reloaded" in plait.cpe.reload()


def test_nothing_changed(lab, plait, server):
    with Transfer(lab, "down", 20 * MB):
        assert plait.cpe.reload() == plait.conv.reload() == {"reloaded": True}
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    counters = plait.cpe.status()["counters"]
    assert (counters["converted"], counters["ended_reset"], counters["direct"]) == (2, 0, 0)


def test_a_signal_does_it_too(lab, plait, server):
    plait.cpe.configure(text(lab, more=""))
    for daemon in (plait.cpe, plait.conv):
        daemon.proc.send_signal(signal.SIGHUP)
        wait_until(lambda d=daemon: "read again" in d.log(), 5, "the daemon to say so")
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers == [lab.host.addr4]


@pytest.mark.parametrize("wrong, said", [
    ("colour = blue\n", "colour"), ("lan {", "conf"), ("distrust_ttl = 0\n", "1 to 1000000000"), (None, "No such file")])
def test_what_is_wrong_changes_nothing(lab, plait, server, wrong, said):
    if wrong is None:
        os.unlink(plait.cpe.config_path)
    else:
        plait.cpe.configure(text(lab, more="") + wrong)
    with Transfer(lab, "down", 10 * MB):
        assert said in plait.cpe.reload()["error"]
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers == [lab.conv.addr4]
    assert "going on with the configuration as it was" in plait.cpe.log()


def test_mode(lab, plait):
    """A running connection leaves the link that becomes a backup, and uses it again (MP_PRIO)."""
    with Transfer(lab, "down", 90 * MB), lab.capture("net", "lte", "tcp", snaplen=128) as cap:
        wait_until(lambda: lab.link["lte"].carried(seconds=0.3) > MB, 10, "the second link to carry its share")
        change(plait, text(lab, "mode = backup"))
        wait_until(lambda: lab.link["lte"].carried(seconds=0.3) < MB / 32, 10, "the second link to be left")
        assert lab.link["lte"].carried() < MB / 8 < lab.link["dsl"].carried()
        change(plait, text(lab))
        wait_until(lambda: lab.link["lte"].carried(seconds=0.3) > MB / 2, 10, "the second link to carry its share again")
    said = cap.tshark(["tcp.options.mptcp.subtype"], "tcp.options.mptcp.subtype == 5")
    assert len(said) >= 2                                   # MP_PRIO, there and back
    assert cap.tshark(["ip.src"], "tcp.flags.syn == 1 && tcp.options.mptcp.subtype == 1")[2:] == []


def test_a_link_is_taken_away_and_given_back(lab, plait):
    with Transfer(lab, "down", 90 * MB):
        wait_until(lambda: lab.link["dsl"].carried(seconds=0.3) > MB, 10, "the first link to carry its share")
        change(plait, text(lab, dsl=False))
        wait_until(lambda: lab.link["dsl"].carried(seconds=0.3) < MB / 32, 10, "the first link to be left")
        assert lab.link["dsl"].carried() < MB / 8 < lab.link["lte"].carried()
        assert [path["name"] for path in plait.cpe.ask("paths")["paths"]] == ["lte"]
        change(plait, text(lab))
        wait_until(lambda: lab.link["dsl"].carried(seconds=0.3) > MB / 2, 10, "the first link to carry its share again")
        assert [path["name"] for path in plait.cpe.ask("paths")["paths"]] == ["dsl", "lte"]
    assert plait.cpe.counter("ended_reset") == 0


def test_order_of_links(lab, plait, server):
    change(plait, 'lan { interfaces = {"lan"} }\nwan "lte" { interface = "lte" }\n'
                        'wan "dsl" { interface = "dsl" }\n' + converter(lab))
    with lab.capture("net", "lte", "tcp port 5124") as cap:
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert cap.tshark(["ip.src"], "tcp.flags == 2 && tcp.options.mptcp.subtype == 0")


def test_another_converter(lab, plait, server, ends):
    """New connections go there; those that run stay where they are."""
    other = ends(Plait(lab, start=False, conv={"port": OTHER_PORT}).conv.start())
    plait.cpe.configure(text(lab, more=converter(lab, OTHER_PORT)))
    with Transfer(lab, "down", 30 * MB):
        wait_until(lambda: plait.conv.status()["sessions"] == 1, 5, "the download to run")
        assert "reloaded" in plait.cpe.reload()
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert plait.conv.status()["sessions"] == 1
    assert other.counter("converted") == 1
    assert other.counter("in_syn_ack") == 1                 # its gate has followed
    found, = plait.cpe.ask("converters")["converters"]
    assert (found["address"], found["verified"]) == (f"{lab.conv.addr4}:{OTHER_PORT}", 1)


def test_no_converter_any_more(lab, plait, server):
    plait.cpe.configure(text(lab, more=""))
    with Transfer(lab, "down", 20 * MB):
        assert "reloaded" in plait.cpe.reload()
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert server.peers == [lab.host.addr4]
    change(plait, text(lab, more="no_converter = refuse\n"))
    assert outcome(lab.host, lab.server.addr4, server.port)[0] == "ECONNREFUSED"
    change(plait, text(lab))
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers[-1] == lab.conv.addr4


def test_a_new_converter_ends_distrust(lab, start, server):
    with Server(lab.conv, lambda conn: conn.recv(1), port=5124):
        plait = start(with_conv=False)
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        wait_until(lambda: plait.cpe.ask("converters")["converters"][0]["trust"] == "distrusted", 5, "distrust")
        change(plait, text(lab))
        assert plait.cpe.ask("converters")["converters"][0]["trust"] == "distrusted"
    change(plait, text(lab, more=converter(lab) + 'converter "c2" { address = "198.51.100.9" }\n'))
    plait.conv.start()
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers[-1] == lab.conv.addr4


def test_bypass(lab, plait, server):
    change(plait, text(lab) + f'bypass = {{"port {server.port}"}}\n')
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers == [lab.host.addr4]


def test_handshake(lab, plait):
    """Early: the LAN host is accepted at once; faithful: it is refused as its server does."""
    for setting, expected in (("early", "open"), ("faithful", "ECONNREFUSED"), ("early", "open")):
        change(plait, text(lab) + f"handshake = {setting}\n")
        assert outcome(lab.host, lab.server.addr4, 9)[0] == expected


def test_what_takes_a_start(lab, plait):
    change(plait, text(lab) + "workers = 7\n")
    assert "workers: a change takes effect when the daemon is started anew" in plait.cpe.log()


def test_clients_of_a_converter(lab, plait, server):
    """Who may use it; a connection that runs is not asked again."""
    with Server(lab.server, lambda conn: conn.sendall(exactly(conn, 4).upper())) as held, \
            connect(lab.host, lab.server.addr4, held.port) as client:
        plait.conv.configure('clients = {"192.0.2.0/24"}\n')
        assert plait.conv.reload() == {"reloaded": True}
        assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
        assert server.peers == [lab.host.addr4]
        plait.conv.configure('clients = {"192.0.2.0/33"}\n')
        assert "192.0.2.0/24" in plait.conv.reload()["error"]
        client.sendall(b"word")
        assert exactly(client, 4) == b"WORD"
        client.shutdown(socket.SHUT_WR)
        held.result()
