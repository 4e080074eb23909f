# SPDX-License-Identifier: ISC
"""plait's two daemons in a lab: their configuration, start, control socket and log."""

import json
import os
import signal
import socket
import subprocess

from .links import build_dir
from .procs import LabError, wait_until


def value(v):
    """A Python value in the syntax of the configuration files."""
    if isinstance(v, (list, tuple)):
        return "{" + ", ".join(value(item) for item in v) + "}"
    return str(v) if isinstance(v, int) else '"' + str(v) + '"'


class Daemon:
    """One daemon in one namespace. `config` is its file's text; stop() and kill() may be followed by
    start(). Attributes: proc, config_path, log_path, control; `without`, programs that it finds broken."""

    def __init__(self, ns, program, config, args=()):
        directory = ns.lab.new_dir(program)
        self.ns = ns
        self.program = program
        self.args = list(args)
        self.without = []
        self.control = os.path.join(directory, "control")
        self.state = os.path.join(directory, "state")
        self.config_path = os.path.join(directory, "conf")
        self.log_path = os.path.join(directory, "log")
        self.proc = None
        self.configure(config)

    def configure(self, config):
        """Write its file; a daemon that runs reads it when told to (reload())."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config + f'control = "{self.control}"\nstate = "{self.state}"\n')

    def reload(self):
        """The daemon's answer to `plait reload`."""
        return self.ask("reload")

    def start(self, wait=True):
        binary = os.path.join(build_dir(), "src", self.program)
        with open(self.log_path, "a", encoding="utf-8") as log:
            argv = [binary, "-c", self.config_path, *self.args]
            if self.without:
                # `ip netns exec` gives every command a mount namespace of its own.
                argv = ["sh", "-ec", f"for f in {' '.join(self.without)}; do mount --bind /bin/false "
                        "$(readlink -f $f); done; exec \"$@\"", "sh", *argv]
            self.proc = self.ns.popen(argv, stderr=log, stdout=subprocess.DEVNULL)
        if wait:
            wait_until(self._ready, 20, f"{self.program} to be ready")
        return self

    def _ready(self):
        if self.proc.poll() is not None:
            raise LabError(f"{self.program} ended with {self.proc.returncode}: {self.log()}")
        try:
            return self.status()["pid"] == self.proc.pid and "ready" in self.log()
        except (OSError, ValueError):
            return False

    def stop(self, timeout=10):
        """SIGTERM, and its exit code."""
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(timeout)

    def kill(self):
        """kill -9: nothing is cleaned up."""
        self.proc.kill()
        return self.proc.wait(10)

    def log(self):
        with open(self.log_path, encoding="utf-8") as file:
            return file.read()

    def ask(self, command):
        """A command of the control socket, decoded."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.control)
            sock.sendall(command.encode() + b"\n")
            return json.loads(b"".join(iter(lambda: sock.recv(65536), b"")))

    def status(self):
        return self.ask("status")

    def counter(self, name):
        return self.status()["counters"][name]

    def memory(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.proc.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS:"))


class Plait:
    """Both daemons of a lab, started. `cpe` and `conv` are dicts of configuration keys that differ
    from the usual; `converters` the addresses the CPE uses (default: the lab's converter, IPv4 if
    there is one), `wans` the names of links to use (default: all), `backup` those in backup mode.
    """

    def __init__(self, lab, cpe=None, conv=None, converters=None, wans=None, backup=(), start=True):
        self.lab = lab
        if converters is None:
            v4 = "4" in lab.families and any("4" in wan.families for wan in lab.wan)
            converters = [lab.conv.addr4 if v4 else lab.conv.addr6]
        clients = [addr + bits for wan in lab.wan
                   for addr, bits in ((wan.cpe_addr4, "/32"), (wan.cpe_addr6, "/128")) if addr]
        lans = ["lan" + (str(n) if n > 1 else "") for n in range(1, len(lab.hosts) + 1)]

        lines = [f"lan {{ interfaces = {value(lans)} }}"]
        for wan in lab.wan:
            if wans is None or wan.name in wans:
                mode = "  mode = backup" if wan.name in backup else ""
                lines.append(f'wan "{wan.name}" {{ interface = "{wan.interface}"{mode} }}')
        for n, converter in enumerate(converters, 1):
            address, _, port = converter.partition("#")
            lines.append(f'converter "c{n}" {{ address = "{address}"  port = {port or 5124} }}')
        self.cpe = Daemon(lab.cpe, "plait-cpe", self._text(lines, cpe))
        announce = [addr for addr in (lab.conv.addr4, lab.conv.addr6) if addr]
        self.conv = Daemon(lab.conv, "plait-converter", self._text(
            [], {"announce": announce, "clients": clients, **(conv or {})}))
        if start:
            self.conv.start()
            self.cpe.start()

    @staticmethod
    def _text(lines, keys):
        return "".join(line + "\n" for line in [*lines, *(f"{k} = {value(v)}" for k, v in (keys or {}).items())])

    def stop(self):
        """Both, if they run; their exit codes."""
        return [d.stop() for d in (self.cpe, self.conv) if d.proc and d.proc.poll() is None]

    def idle(self, timeout=20):
        """Wait until no session is left on either daemon."""
        wait_until(lambda: not self.cpe.status()["sessions"] and not self.conv.status()["sessions"],
                   timeout, "every session to end")

    def converters(self):
        """(name, address) of those that the CPE lists, in their order."""
        return [(c["name"], c["address"]) for c in self.cpe.ask("converters")["converters"]]

    def used(self):
        """The sum of both daemons' counters: a change tells that something went through them."""
        return {**{"cpe." + k: v for k, v in self.cpe.status()["counters"].items()},
                **{"conv." + k: v for k, v in self.conv.status()["counters"].items()}}
