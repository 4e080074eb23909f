# SPDX-License-Identifier: ISC
"""What people use today in plait's place: pairs of transparent proxies under mptcpize.

Each takes the LAN host's connections to some ports of any server by a REDIRECT rule on the CPE.
mptcp_over_all_links() of plaitlab.haproxy, or plait-cpe, sets the kernel up for them.
"""

import os
import subprocess

from .procs import LabError, wait_until

_DANTED = """\
logoutput: {log}
internal: {address} port = {port}
external: {address}
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""
_REDSOCKS = """\
base {{ log_info = off; log = "file:{log}"; daemon = off; redirector = iptables; }}
redsocks {{ local_ip = 0.0.0.0; local_port = {local}; ip = {address}; port = {port}; type = socks5; }}
"""


def serve_mptcpized(ns, argv, log, port):
    """A program whose sockets are MPTCP ones, when it listens on a port; its output goes to `log`."""
    with open(log, "wb") as out:
        proc = ns.popen(["mptcpize", "run", *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def listens():
        if proc.poll() is not None:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise LabError(f"{argv[0]} in {ns.role} ended: {file.read().strip()}")
        return f":{port} " in ns.run(["ss", "-Hltn"]).stdout

    wait_until(listens, 10, f"{argv[0]} in {ns.role} to listen")
    return proc


class Proxies:
    """A pair: programs on the converter and on the CPE, and what leads to the latter."""

    def __init__(self, lab, name, local, server_port):
        self._directory = lab.new_dir(name)
        lab.cpe.run(["nft", "-f", "-"], input=(
            f"table ip {name} {{ chain pre {{ type nat hook prerouting priority dstnat; "
            f"iifname lan tcp dport {server_port} redirect to :{local}\n}}\n}}\n"))

    def _path(self, name):
        return os.path.join(self._directory, name)

    def _write(self, name, text):
        with open(self._path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self._path(name)

    def _start(self, ns, argv, port):
        serve_mptcpized(ns, argv, self._path(argv[0] + ".out"), port)


class Socks(Proxies):
    """redsocks on the CPE, Dante on the converter."""

    def __init__(self, lab, server_port, port=1080, local=12345):
        super().__init__(lab, "socks", local, server_port)
        at = {"address": lab.conv.addr4, "port": port, "local": local}
        self._start(lab.conv, ["danted", "-f", self._write(
            "danted.conf", _DANTED.format(log=self._path("danted.log"), **at))], port)
        self._start(lab.cpe, ["redsocks", "-c", self._write(
            "redsocks.conf", _REDSOCKS.format(log=self._path("redsocks.log"), **at))], local)


class Shadowsocks(Proxies):
    """ss-redir on the CPE, ss-server on the converter (shadowsocks-libev)."""

    def __init__(self, lab, server_port, port=8388, local=1088):
        super().__init__(lab, "shadowsocks", local, server_port)
        common = ["-s", lab.conv.addr4, "-p", port, "-k", "a key of the lab", "-m", "aes-128-gcm"]
        self._start(lab.conv, ["ss-server", *common], port)
        self._start(lab.cpe, ["ss-redir", "-b", "0.0.0.0", "-l", local, *common], local)
