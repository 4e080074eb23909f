# SPDX-License-Identifier: ISC
"""What plait is compared with: a pair of HAProxy under mptcpize, and the kernel set up for it.

mptcpize makes all sockets of a program MPTCP; so HAProxy's connections to the server are MPTCP ones
that fall back to TCP.
"""

import os

from .proxies import serve_mptcpized

_CONFIG = """\
global
    maxconn {maxconn}
    tune.bufsize {bufsize}
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen relay
    bind {at}
    server next {to}
"""
DEFAULT_BUFFER = 16384
# Two sockets each, and some more, below an open-files limit of 20,000.
MAX_CONNECTIONS = 8000


def mptcp_over_all_links(lab, backup=()):
    """What plait sets for itself: an endpoint and a source route for each link; `backup` names some."""
    commands = ["mptcp limits set subflow 8 add_addr_accepted 8"]
    for wan in lab.wan:
        commands += [f"route add default via {wan.net_addr4} dev {wan.interface} "
                     f"table {wan.metric}",
                     f"rule add from {wan.cpe_addr4} table {wan.metric}",
                     f"mptcp endpoint add {wan.cpe_addr4} dev {wan.interface} subflow"
                     + (" backup" if wan.name in backup else "")]
    lab.cpe.ip(*commands)
    lab.conv.ip(commands[0])


class HAProxy:
    """One HAProxy: takes connections at `at` (ADDRESS:PORT) and passes them on to `to`."""

    def __init__(self, ns, at, to, bufsize=DEFAULT_BUFFER):
        directory = ns.lab.new_dir("haproxy")
        config = os.path.join(directory, "conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(_CONFIG.format(maxconn=MAX_CONNECTIONS, bufsize=bufsize, at=at, to=to))
        self.ns = ns
        self.proc = serve_mptcpized(ns, ["haproxy", "-db", "-f", config], os.path.join(directory, "log"),
                                    at.rpartition(":")[2])

    def stop(self):
        self.ns.lab.tracker.end([self.proc])


class Pair:
    """HAProxy on the CPE's LAN side and on the converter; on to the server's `server_port`."""

    def __init__(self, lab, port, server_port, bufsize=DEFAULT_BUFFER):
        self.address, self.port = lab.cpe.addr4, port
        self.conv = HAProxy(lab.conv, f"{lab.conv.addr4}:{port}",
                            f"{lab.server.addr4}:{server_port}", bufsize)
        self.cpe = HAProxy(lab.cpe, f"{self.address}:{port}", f"{lab.conv.addr4}:{port}", bufsize)

    def pids(self):
        return [self.cpe.proc.pid, self.conv.proc.pid]

    def stop(self):
        self.cpe.stop()
        self.conv.stop()
