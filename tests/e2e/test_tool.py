# SPDX-License-Identifier: ISC
"""The `plait` tool: what the daemons tell, for people and for programs."""

import json
import os
import subprocess

import pytest

from plaitlab import Lab, Link, wait_until
from plaitlab.daemons import Plait


@pytest.fixture(scope="module")
def plait():
    with Lab([Link("dsl", rate=50, delay=15), Link("lte", rate=30, delay=30)], core_delay=5) as lab:
        yield Plait(lab)


@pytest.fixture(scope="module")
def tool(build_dir):
    def run(*args):
        return subprocess.run([os.path.join(build_dir, "src", "plait"), *args], timeout=20,
                              capture_output=True, text=True, check=False)
    return run


def test_paths_name_the_links(plait, tool):
    done = tool("paths", "--socket", plait.cpe.control)
    assert done.returncode == 0
    header, dsl, lte = done.stdout.splitlines()
    assert header.split()[:3] == ["name", "interface", "mode"]
    assert dsl.split()[:4] == ["dsl", "dsl", "aggregate", "yes"]
    assert plait.lab.wan[1].cpe_addr4 in lte.split()


def test_converters_and_sessions_follow_a_connection(plait, tool):
    lab = plait.lab

    def ask(command, daemon):
        done = tool(command, "--json", "--socket", daemon.control)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[command]

    assert ask("converters", plait.cpe)[0]["verified"] == 0
    server = lab.server.socket()
    server.bind((lab.server.addr4, 7000))
    server.listen()
    with server, lab.host.socket() as host:
        host.connect((lab.server.addr4, 7000))
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"hello")
            assert host.recv(5) == b"hello"
            # A session's figures are the relay's own, read while it runs.
            wait_until(lambda: ask("sessions", plait.cpe)[0]["bytes_down"] == 5, 5, "5 bytes down")
            one, = ask("sessions", plait.cpe)
            assert one["state"] == "relaying" and one["server"] == f"{lab.server.addr4}:7000"
            assert one["converter"] == "c1"
            other, = ask("sessions", plait.conv)
            assert other["client"].startswith(lab.wan[0].cpe_addr4 + ":")
    converter, = ask("converters", plait.cpe)
    assert converter["verified"] == 1 and converter["trust"] == "usable"
    assert converter["handshake_ms"] >= 30
    plait.idle()
    assert tool("sessions", "--socket", plait.cpe.control).stdout == "none\n"


def test_status_shows_the_counters(plait, tool):
    done = tool("status", "--socket", plait.conv.control)
    assert done.returncode == 0
    assert "plait-converter" in done.stdout and "converted" in done.stdout


@pytest.mark.parametrize("args, code, said", [
    ((), 2, "usage"),
    (("nonsense",), 2, "usage"),
    (("status", "--socket", "/nonexistent/socket"), 1, "expected the control socket"),
])
def test_wrong_use_says_what_was_expected(tool, args, code, said):
    done = tool(*args)
    assert done.returncode == code and said in done.stderr


def test_a_command_of_the_cpe_alone_is_refused_by_the_converter(plait, tool):
    done = tool("paths", "--socket", plait.conv.control)
    assert done.returncode == 1 and "unknown command" in done.stderr
