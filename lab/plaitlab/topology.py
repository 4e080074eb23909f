# SPDX-License-Identifier: ISC
"""The lab: a LAN, a CPE with emulated WANs, the operator's core, a converter and servers.

    host --- cpe ===(one emulated link per WAN)=== net --- conv
                                                    +===== server   (emulated when core_delay > 0)

Each role is a network namespace; host2, host3, server2 ... have legs like those of host and server.
n counts hosts, i WANs, j servers, from 1. The emulators run in a namespace `links` without addresses.

    leg            interfaces              IPv4                          IPv6
    host n - cpe   eth0 - lan, lan2 ..     10.10.n.2 - 10.10.n.1 /24     fd00:10:n::2 - fd00:10:n::1 /64
    cpe - net      LINK - LINK             10.20.i.2 - 10.20.i.1 /24     2001:db8:20:i::2 - ::1 /64
    net - conv     conv - eth0             198.51.100.1 - .2 /28         2001:db8:c::1 - ::2 /64
    net - server   server.. - eth0         198.51.100.(16j+1) - +2 /28   2001:db8:5:j::1 - ::2 /64

    the LAN as a whole                     10.10.0.0/16                  fd00:10::/32

Routes: cpe has a default route per WAN, of metric 100, 200, ...; net returns to the LAN by the first
WAN of the family unless the CPE masquerades; Lab.direct() chooses another WAN for both. No source
routing and no MPTCP endpoints: those are the daemon's. Neighbours are permanent entries, so that no
address resolution adds a round trip. "up" is the direction away from the LAN.
"""

import atexit
import json
import os
import shutil
import signal
import sys
import tempfile
import threading

from . import owner
from .capture import Capture
from .links import Emulator, Link, find_linkem
from .netns import Namespace
from .procs import LabError, Tracker, call

LAN4 = "10.10.0.0/16"
LAN6 = "fd00:10::/32"
MTU = 1500

_alive = []
_count = 0


def _end_all():
    for lab in list(_alive):
        lab.close()


def _on_signal(number, frame):
    """Leave through the context managers and atexit, as for any other exit."""
    sys.exit(128 + number)


def _catch_signals():
    atexit.register(_end_all)
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _on_signal)


class Wan:
    """A WAN of the CPE: `name` (also of its interface), `link`, and the addresses of both ends."""

    def __init__(self, name, index, link):
        self.name = self.interface = name
        self.index = index
        self.link = link
        self.metric = 100 * index
        self.families = link.families
        v4, v6 = "4" in link.families, "6" in link.families
        self.cpe_addr4, self.net_addr4 = (f"10.20.{index}.2", f"10.20.{index}.1") if v4 else (None,) * 2
        self.cpe_addr6, self.net_addr6 = (
            (f"2001:db8:20:{index}::2", f"2001:db8:20:{index}::1") if v6 else (None,) * 2)


class Lab:
    """A lab, from `with` (or start()) to its end (or close()); see the module for what is in it.

    links           list of Link, the WANs
    core_delay      one-way ms between net and the servers, core_rate in Mbit/s (0: unlimited)
    families        "4", "6" or "46": of LAN, converter and servers (those of a WAN: Link.families)
    masquerade      the CPE hides the LAN behind the WANs' addresses
    hosts, servers  how many
    offloads        leave segmentation and checksum offloads on (packets then exceed the MTU)
    congestion      TCP congestion control in all namespaces; None leaves the system's
    name            of the lab; unique by default
    tmp             directory for files; one of its own by default, which goes away with the lab

    Attributes: host, cpe, net, conv, server (Namespaces), hosts, servers (lists of them), wan (list of
    Wan), link (the emulators by name; the servers' legs are "core", "core2", ..), tmp, name.
    """

    def __init__(self, links, core_delay=0, core_rate=0, families="46", masquerade=False, hosts=1,
                 servers=1, offloads=False, congestion=None, name=None, tmp=None):
        global _count
        if families not in ("4", "6", "46"):
            raise LabError("families: expected 4, 6 or 46")
        if not links or len(links) > 8 or len({link.name for link in links}) != len(links):
            raise LabError("links: expected 1 to 8 Links of different names")
        if any(link.name.startswith(("core", "conv", "server", "lan", "lo", "eth")) for link in links):
            raise LabError("links: core, conv, server, lan, lo and eth are names of other interfaces")
        if not 1 <= hosts <= 16 or not 1 <= servers <= 14:
            raise LabError("expected 1 to 16 hosts and 1 to 14 servers")
        _count += 1
        self.name = name or f"p{os.getpid()}" + (f"n{_count}" if _count > 1 else "")
        if not self.name.isalnum() or len(self.name) > 32:
            raise LabError(f"name {self.name!r}: expected up to 32 letters and digits")
        self.families = families
        self.masquerade = masquerade
        self.offloads = offloads
        self.congestion = congestion
        self.tracker = Tracker()
        self.wan = [Wan(link.name, i, link) for i, link in enumerate(links, 1)]
        self.link = {}
        self.tmp = self.run_dir = None
        self._given_tmp = str(tmp) if tmp else None
        self._core = (core_delay, core_rate)
        self._serial = 0
        self._pid = os.getpid()

        numbered = lambda role, n: role + (str(n) if n > 1 else "")
        self.cpe, self.net, self.conv, self.links_ns = (
            Namespace(self, role) for role in ("cpe", "net", "conv", "links"))
        self.hosts = [Namespace(self, numbered("host", n + 1)) for n in range(hosts)]
        self.servers = [Namespace(self, numbered("server", n + 1)) for n in range(servers)]
        self.host, self.server = self.hosts[0], self.servers[0]

    @property
    def namespaces(self):
        """All, by role."""
        every = [*self.hosts, self.cpe, self.net, self.conv, *self.servers, self.links_ns]
        return {ns.role: ns for ns in every}

    # ---- life

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.close()

    def start(self):
        if os.geteuid() != 0:
            raise LabError("a lab needs root: it makes network namespaces")
        find_linkem()
        owner.clean()
        if not _alive:
            _catch_signals()
        own_tmp = None if self._given_tmp else tempfile.mkdtemp(prefix=f"plait-lab-{self.name}-")
        self.tmp = self._given_tmp or own_tmp
        try:
            self.run_dir = owner.register(self.name, own_tmp)
        except BaseException:
            if own_tmp:
                shutil.rmtree(own_tmp, ignore_errors=True)
            raise
        _alive.append(self)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        """End the lab: nothing of it remains. May be called again, also after an interruption."""
        if self not in _alive or os.getpid() != self._pid:
            return              # a forked child leaves its parent's lab alone
        try:
            for emulator in self.link.values():
                emulator.check()
        except LabError as error:
            print(f"lab {self.name}: {error}", file=sys.stderr)
        self.tracker.end()
        owner.remove(self.name)
        _alive.remove(self)

    # ---- building

    def _build(self):
        for ns in self.namespaces.values():
            call(["ip", "netns", "add", ns.name])
            self._prepare(ns)
        for n, host in enumerate(self.hosts, 1):
            self._leg(host, "eth0", self.cpe, "lan" + (str(n) if n > 1 else ""),
                      (f"10.10.{n}.2", f"10.10.{n}.1", 24), (f"fd00:10:{n}::2", f"fd00:10:{n}::1", 64))
            self._default(host, f"10.10.{n}.1", f"fd00:10:{n}::1")
        for wan in self.wan:
            self._leg(self.cpe, wan.name, self.net, wan.name,
                      (wan.cpe_addr4, wan.net_addr4, 24), (wan.cpe_addr6, wan.net_addr6, 64),
                      wan.families, wan.name, None if wan.link.cable else wan.link.commands())
        self._leg(self.net, "conv", self.conv, "eth0",
                  ("198.51.100.1", "198.51.100.2", 28), ("2001:db8:c::1", "2001:db8:c::2", 64))
        self._default(self.conv, "198.51.100.1", "2001:db8:c::1")
        delay, rate = self._core
        core = Link("core", rate=rate, delay=delay).commands() if delay or rate else None
        for j, server in enumerate(self.servers, 1):
            suffix = str(j) if j > 1 else ""
            net4, net6 = f"198.51.100.{16 * j + 1}", f"2001:db8:5:{j}::1"
            self._leg(self.net, "server" + suffix, server, "eth0",
                      (net4, f"198.51.100.{16 * j + 2}", 28), (net6, f"2001:db8:5:{j}::2", 64),
                      self.families, "core" + suffix, core)
            self._default(server, net4, net6)
        self.direct(None)
        if self.masquerade:
            self._masquerade()
        for emulator in self.link.values():
            emulator.wait_ready()
        self._describe()

    def _prepare(self, ns):
        """What must hold before the first interface comes."""
        settings = {
            "net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0,
            "net.ipv6.conf.default.dad_transmits": 0, "net.ipv6.conf.default.accept_ra": 0,
            "net.ipv6.conf.default.router_solicitations": 0,
            "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.default.rp_filter": 0,
            "net.ipv4.tcp_no_metrics_save": 1,
        }
        if ns in (self.cpe, self.net):
            settings["net.ipv4.ip_forward"] = 1
            settings["net.ipv6.conf.all.forwarding"] = 1
        if ns is self.links_ns:
            settings["net.ipv6.conf.default.disable_ipv6"] = 1
        if self.congestion:
            # Namespaces may use what is not restricted, which is less than what there is.
            allowed = ns.sysctl("net.ipv4.tcp_allowed_congestion_control")
            if self.congestion not in allowed.split():
                raise LabError(f"congestion {self.congestion!r}: expected one of {allowed} "
                               "(net.ipv4.tcp_allowed_congestion_control)")
            settings["net.ipv4.tcp_congestion_control"] = self.congestion
        for key, value in settings.items():
            ns.sysctl(key, value)
        ns.ip("link set lo up")

    def _leg(self, a, a_if, b, b_if, addr4, addr6, families=None, link=None, commands=None):
        """Join two roles, by a cable or by an emulated link; addresses, neighbours, settings."""
        families = families or self.families
        self._serial += 1
        macs = [f"02:00:00:00:{self._serial:02x}:{end:02x}" for end in (1, 2)]
        if commands is None:
            self._veth(a, a_if, macs[0], b, b_if, macs[1])
        else:
            inner = [f"02:00:00:00:{self._serial:02x}:{end:02x}" for end in (3, 4)]
            self._veth(a, a_if, macs[0], self.links_ns, f"{link}.a", inner[0])
            self._veth(b, b_if, macs[1], self.links_ns, f"{link}.b", inner[1])
            self.link[link] = Emulator(self, link, commands)
        ends = ((a, a_if, 0, 1), (b, b_if, 1, 0))
        for ns, interface, mine, other in ends:
            lines = []
            for family, addr in (("4", addr4), ("6", addr6)):
                if family not in families:
                    continue
                nodad = " nodad" if family == "6" else ""
                lines += [f"addr add {addr[mine]}/{addr[2]} dev {interface}{nodad}",
                          f"neigh replace {addr[other]} lladdr {macs[other]} nud permanent dev {interface}"]
                ns.addresses.setdefault(interface, []).append(addr[mine])
                main = f"addr{family}"
                if getattr(ns, main) is None:
                    setattr(ns, main, addr[mine])
            ns.interface = ns.interface or interface
            if lines:
                ns.ip(*lines)

    def _veth(self, a, a_if, a_mac, b, b_if, b_mac):
        a.ip(f"link add name {a_if} address {a_mac} mtu {MTU} type veth "
             f"peer name {b_if} address {b_mac} mtu {MTU} netns {b.name}")
        for ns, interface in ((a, a_if), (b, b_if)):
            if not self.offloads:
                ns.offloads_off(interface)
            ns.ip(f"link set dev {interface} up")

    def _default(self, ns, gateway4, gateway6):
        ns.ip(*(f"route add default via {gateway}"
                for family, gateway in (("4", gateway4), ("6", gateway6)) if family in self.families))

    def _masquerade(self):
        wans = ", ".join(f'"{wan.name}"' for wan in self.wan)
        self.cpe.run(["nft", "-f", "-"], input=f"""\
table inet lab_masquerade {{
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        oifname {{ {wans} }} ip saddr {LAN4} masquerade
        oifname {{ {wans} }} ip6 saddr {LAN6} masquerade
    }}
}}
""")

    def direct(self, link):
        """Send what the CPE forwards, and net's answers, over this WAN alone; None: as at the start."""
        if link is not None and link not in [wan.name for wan in self.wan]:
            raise LabError(f"no WAN {link!r}")
        for family, lan in (("4", LAN4), ("6", LAN6)):
            usable = [wan for wan in self.wan if family in wan.families]
            if family not in self.families:
                continue
            cpe, net = ["route flush exact default"], []
            for wan in usable:
                gateway, back = ((wan.net_addr4, wan.cpe_addr4) if family == "4" else
                                 (wan.net_addr6, wan.cpe_addr6))
                if link is None or wan.name == link:
                    cpe.append(f"route add default via {gateway} dev {wan.name} metric {wan.metric}")
                if not self.masquerade and (wan.name == link or (link is None and wan is usable[0])):
                    net.append(f"route replace {lan} via {back} dev {wan.name}")
            self.cpe.ip(*cpe, family=family)
            if net:
                self.net.ip(*net, family=family)

    # ---- use

    def capture(self, role, interface="any", filter=None, **options):
        """A Capture in the namespace of a role."""
        return Capture(self.namespaces[role], interface, filter, **options)

    def new_path(self, stem, suffix=""):
        """A file name in the lab's directory that was not used before."""
        self._serial += 1
        return os.path.join(self.tmp, f"{stem}-{self._serial}{suffix}")

    def new_dir(self, stem):
        path = self.new_path(stem)
        os.mkdir(path)
        return path

    def _describe(self):
        """What `lab status` and its like need to know about a lab of another process."""
        text = {
            "name": self.name, "tmp": self.tmp,
            "roles": {role: {"namespace": ns.name, "addresses": ns.addresses}
                      for role, ns in self.namespaces.items()},
            "links": {name: emulator.path for name, emulator in self.link.items()},
        }
        with open(os.path.join(self.run_dir, "lab.json"), "w", encoding="utf-8") as file:
            json.dump(text, file, indent=1)
