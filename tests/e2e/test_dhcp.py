# SPDX-License-Identifier: ISC
"""Converters from real DHCP servers through real clients and the hooks that plait ships."""

import json
import os
import shlex
import shutil
import signal

import pytest

from peer import MB, Transfer, ask
from plaitlab import Link, LabError, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOOKS = os.path.join(TOP, "packaging", "dhcp")
LINKS = [Link("dsl", rate=60, delay=10), Link("lte", rate=40, delay=15)]


@pytest.fixture
def plait(lab, start):
    """A CPE without a converter, and without addresses on its links; those are put back."""
    addresses = {wan.name: lab.cpe.run(["ip", "-o", "addr", "show", "dev", wan.name]).stdout for wan in lab.wan}
    routes = lab.cpe.run("ip route show default; ip -6 route show default").stdout
    for wan in lab.wan:
        lab.cpe.run(["ip", "-4", "addr", "flush", "dev", wan.name])
    yield start(converters=[], conv={"clients": ["10.20.0.0/16", "2001:db8:20::/48"]})
    for wan in lab.wan:
        lab.cpe.run(["ip", "-4", "addr", "flush", "dev", wan.name])
        for line in addresses[wan.name].splitlines():
            words = line.split()
            if words[2] == "inet":
                lab.cpe.run(["ip", "addr", "add", words[3], "dev", wan.name])
    for line in routes.splitlines():
        lab.cpe.run(["ip", "route", "replace", *line.split()], check=False)


class Dnsmasq:
    """The DHCP server of one access link: its one address, and what it names as converters."""

    def __init__(self, lab, wan, option=None, option6=None):
        self.lab, self.wan, self.option, self.option6 = lab, wan, option, option6
        self.dir = lab.new_dir("dnsmasq")
        self.start()

    def start(self):
        wan = self.wan
        options = [f"224,{self.option}"] if self.option else []
        options += [f"option6:65001,{self.option6}"] if self.option6 else []
        self.log = os.path.join(self.dir, "log")
        self.proc = self.lab.net.popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root",
             f"--interface={wan.name}", "--bind-interfaces", f"--dhcp-leasefile={self.dir}/leases",
             f"--log-facility={self.log}", "--log-dhcp", f"--pid-file={self.dir}/pid", "--dhcp-authoritative",
             f"--dhcp-range={wan.cpe_addr4},{wan.cpe_addr4},255.255.255.0,2m",
             "--dhcp-range=2001:db8:20:1::100,2001:db8:20:1::1ff,64,2m",
             *(f"--dhcp-option={o}" for o in options)])
        wait_until(lambda: os.path.exists(self.log) and "DHCP" in self.said(), 10, "dnsmasq to start")

    def said(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def names(self, option):
        self.stop()
        os.unlink(self.log)
        self.option = option
        self.start()

    def stop(self):
        self.lab.tracker.end([self.proc])


class Kea:
    """The same by Kea, as the documentation configures it."""

    def __init__(self, lab, wan, addresses, addresses6):
        self.lab, self.wan, self.procs = lab, wan, []
        self.addresses, self.addresses6 = addresses, addresses6

    def start(self):
        wan = self.wan
        self.start_one("4", {
            "option-def": [{"name": "plait-converters", "code": 224, "type": "ipv4-address", "array": True,
                            "space": "dhcp4"}],
            "option-data": [{"name": "plait-converters", "data": self.addresses},
                            {"name": "routers", "data": wan.net_addr4}],
            "subnet4": [{"subnet": f"{wan.net_addr4}/24",
                         "pools": [{"pool": f"{wan.cpe_addr4}-{wan.cpe_addr4}"}]}]})
        self.start_one("6", {
            "preferred-lifetime": 60,
            "server-id": {"type": "EN", "enterprise-id": 3, "identifier": "706c616974", "persist": False},
            "option-def": [{"name": "plait-converters", "code": 65001, "type": "ipv6-address", "array": True,
                            "space": "dhcp6"}],
            "option-data": [{"name": "plait-converters", "data": self.addresses6}],
            "subnet6": [{"subnet": "2001:db8:20:1::/64", "interface": wan.name,
                         "pools": [{"pool": "2001:db8:20:1::100-2001:db8:20:1::1ff"}]}]})

    def start_one(self, version, more):
        wan, directory = self.wan, self.lab.new_dir("kea")
        path, log = os.path.join(directory, "conf"), os.path.join(directory, "log")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({f"Dhcp{version}": {
                "interfaces-config": {"interfaces": [wan.name]}, "valid-lifetime": 120,
                "lease-database": {"type": "memfile", "persist": False},
                "loggers": [{"name": f"kea-dhcp{version}", "severity": "INFO",
                             "output_options": [{"output": "stdout"}]}], **more}}, file)
        with open(log, "wb") as file:
            self.procs.append(self.lab.net.popen(
                ["env", f"KEA_PIDFILE_DIR={directory}", f"KEA_LOCKFILE_DIR={directory}", f"kea-dhcp{version}",
                 "-c", path], stdout=file, stderr=file))

        def started():
            with open(log, encoding="utf-8") as file:
                return f"DHCP{version}_STARTED" in file.read()

        wait_until(started, 20, f"kea-dhcp{version} to start, see {log}")

    def stop(self):
        self.lab.tracker.end(self.procs)


# What a client sees of the file system: our tool and hooks at their places, and nothing of the host's that
# it writes to. `ip netns exec` gives each command a mount namespace of its own.
SETTING = """
d={dir}
mkdir -p $d/bin $d/lib
ln -sf {plait} $d/bin/plait
mount -t tmpfs tmpfs /run; mkdir -p /run/plait; ln -s {control} /run/plait/cpe.sock
mount -t overlay -o lowerdir=$d/bin:/usr/bin overlay /usr/bin
mount --bind /dev/null "$(readlink -f /etc/resolv.conf)"
"""


class Client:
    """One DHCP client on the CPE, with plait's hook for it, as its documentation says."""

    def __init__(self, plait, build_dir, name, interface):
        self.lab, self.name = plait.lab, name
        self.dir = self.lab.new_dir(name)
        setting = SETTING.format(dir=self.dir, plait=os.path.join(build_dir, "src", "plait"),
                                 control=plait.cpe.control)
        prepare, command, self.release_command = getattr(self, name.replace("-", "_"))(interface)
        self.log = os.path.join(self.dir, "log")
        self.setting = f"set -e\n{setting}\n{prepare}\n"
        with open(self.log, "wb") as log:
            self.proc = self.lab.cpe.popen(self.setting + "exec " + shlex.join(command), stdout=log, stderr=log)

    def dhclient(self, interface, *options):
        with open("/etc/dhcp/dhclient.conf", encoding="utf-8") as usual, \
                open(os.path.join(HOOKS, "dhclient.conf"), encoding="utf-8") as ours, \
                open(os.path.join(self.dir, "conf"), "w", encoding="utf-8") as file:
            file.write(usual.read() + ours.read())
        # Its folder of hooks holds ours alone.
        prepare = (f"mkdir -p $d/hooks; cp {HOOKS}/dhclient $d/hooks/plait\n"
                   "mount --bind $d/hooks /etc/dhcp/dhclient-exit-hooks.d")
        common = ["dhclient", *options, "-cf", f"{self.dir}/conf", "-lf", f"{self.dir}/leases",
                  "-pf", f"{self.dir}/pid"]
        return prepare, [*common, "-d", interface], [*common, "-r", interface]

    def dhclient6(self, interface):
        return self.dhclient(interface, "-6")

    def udhcpc(self, interface):
        return "", ["udhcpc", "-f", "-i", interface, "-O", "224", "-s", f"{HOOKS}/udhcpc", "-R",
                    "-t", "20", "-T", "1"], None

    def dhcpcd(self, interface):
        prepare = (f"cp {HOOKS}/dhcpcd $d/lib/60-plait; cp {HOOKS}/dhcpcd.conf $d/conf\n"
                   "printf 'ipv4only\\nnoipv4ll\\nnoarp\\n' >>$d/conf\n"
                   "mount --bind $d/lib /lib/dhcpcd/dhcpcd-hooks; mkdir -p $d/db; "
                   "mount --bind $d/db /var/lib/dhcpcd")
        return prepare, ["dhcpcd", "-B", "-f", f"{self.dir}/conf", interface], None

    def systemd_networkd(self, interface):
        """It takes links as they are, without udev, where /sys is read-only; its leases are seen outside."""
        self.leases = os.path.join(self.dir, "leases")
        os.mkdir(self.leases)
        prepare = ("mkdir -p /run/systemd/network; cd /run/systemd; mkdir -p netif/leases netif/links netif/lldp\n"
                   "mount --bind $d/leases netif/leases\n"
                   "chown -R systemd-network netif; mount -o remount,ro,bind /sys\n"
                   f"printf '[Match]\\nName={interface}\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\n"
                   "[DHCPv4]\\nRequestOptions=224\\n' >network/10-plait.network")
        return prepare, ["/lib/systemd/systemd-networkd"], None

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def release(self):
        """Give the lease back, and end."""
        if self.release_command:
            self.lab.cpe.run(self.setting + shlex.join(self.release_command))
        else:
            self.proc.terminate()       # the others release at their end
        self.proc.wait(10)

    def stop(self):
        self.lab.tracker.end([self.proc])


@pytest.fixture
def client(plait, build_dir, request):
    def client(name, interface="dsl"):
        if not shutil.which(name.rstrip("6"), path="/usr/sbin:/sbin:/usr/bin:/bin:/lib/systemd"):
            raise LabError(f"{name} is missing: see tools/deps")
        client = Client(plait, build_dir, name, interface)
        request.addfinalizer(client.stop)
        return client
    return client


@pytest.fixture
def dhcp(lab, request):
    def dhcp(wan=0, **options):
        server = Dnsmasq(lab, lab.wan[wan], **options)
        request.addfinalizer(server.stop)
        return server
    return dhcp


CLIENTS = ["dhclient", "udhcpc", "dhcpcd"]


def both_are_learnt(lab, plait, server):
    """The two converters of the first link's lease, for as long as that; and connections go to the first."""
    assert plait.converters() == [("dsl.dhcp4", f"{lab.conv.addr4}:5124"), ("dsl.dhcp4", "198.51.100.9:5124")]
    assert all(90 < c["lease_left"] <= 120 for c in plait.cpe.ask("converters")["converters"])
    wait_until(lambda: plait.cpe.ask("paths")["paths"][0]["ipv4"] == lab.wan[0].cpe_addr4, 10, "the address")
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers == [lab.conv.addr4]


@pytest.mark.parametrize("name", CLIENTS)
def test_from_nothing_to_the_first_connection(lab, plait, server, dhcp, client, name):
    """No address, no route, no converter; then a lease, and at its end none of them."""
    dhcp(option=f"{lab.conv.addr4},198.51.100.9")
    running = client(name)
    wait_until(lambda: plait.converters(), 30, lambda: f"converters: {running.said()}")
    both_are_learnt(lab, plait, server)
    running.release()
    wait_until(lambda: not plait.converters(), 10, lambda: f"none any more: {running.said()}")


def test_dhcpv6(lab, plait, server, dhcp, client):
    dhcp(option6=f"[{lab.conv.addr6}]")
    running = client("dhclient6")
    wait_until(lambda: plait.converters(), 30, lambda: f"converters: {running.said()}")
    assert plait.converters() == [("dsl.dhcp6", f"[{lab.conv.addr6}]:5124")]
    assert ask(lab.host, lab.server.addr6, server.port) == b"HELLO"
    assert server.peers == [lab.conv.addr6]


def test_kea(lab, plait, server, client, request):
    kea = Kea(lab, lab.wan[0], f"{lab.conv.addr4}, 198.51.100.9", lab.conv.addr6)
    request.addfinalizer(kea.stop)
    kea.start()
    running = [client("dhclient"), client("dhclient6")]
    wait_until(lambda: len(plait.converters()) == 3, 30, lambda: "".join(client.said() for client in running))
    assert sorted(plait.converters()) == [
        ("dsl.dhcp4", f"{lab.conv.addr4}:5124"), ("dsl.dhcp4", "198.51.100.9:5124"),
        ("dsl.dhcp6", f"[{lab.conv.addr6}]:5124")]
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers == [lab.conv.addr4]


def test_a_renewal_names_another(lab, plait, server, dhcp, client):
    """In the middle of a download, which stays where it is."""
    access = dhcp(option=lab.conv.addr4)
    running = client("udhcpc")
    wait_until(lambda: plait.converters(), 30, lambda: f"converters: {running.said()}")
    with Transfer(lab, "down", 30 * MB):
        wait_until(lambda: plait.conv.status()["sessions"] == 1, 5, "the download to run")
        access.names("198.51.100.9")
        running.proc.send_signal(signal.SIGUSR1)        # renew now
        wait_until(lambda: plait.converters() == [("dsl.dhcp4", "198.51.100.9:5124")], 20,
                   lambda: f"the other converter: {running.said()}")
        assert plait.conv.status()["sessions"] == 1
    assert plait.cpe.counter("ended_reset") == 0


@pytest.mark.parametrize("option, said", [
    ("c6:33:64", "expected addresses of 4"), ("224.0.0.1", "no host has it"), ("10.20.1.2", "this host's own")])
def test_garbage(lab, plait, dhcp, client, option, said):
    """Refused, with a line in the log; the client goes on, and so do we."""
    dhcp(option=option)
    running = client("udhcpc")
    wait_until(lambda: "nothing is changed" in plait.cpe.log(), 30, lambda: f"the refusal: {running.said()}")
    assert said in plait.cpe.log()
    assert plait.converters() == []


def test_two_links(lab, plait, server, dhcp, client):
    """Each names one; the first one's are used first, over both links."""
    dhcp(0, option=lab.conv.addr4)
    dhcp(1, option="198.51.100.9")
    client("udhcpc", "dsl")
    wait_until(lambda: plait.converters(), 30, "the first")
    client("dhclient", "lte")
    wait_until(lambda: len(plait.converters()) == 2, 30, "the second")
    assert ask(lab.host, lab.server.addr4, server.port) == b"HELLO"
    assert server.peers == [lab.conv.addr4]


# ---- hooks that no client of ours runs: NetworkManager's calls, and networkd's lease files

@pytest.fixture
def hook(plait, build_dir):
    """Run a hook on the CPE with an environment."""
    directory = plait.lab.new_dir("hook")

    def run(name, *args, **env):
        setting = SETTING.format(dir=directory, plait=os.path.join(build_dir, "src", "plait"), control=plait.cpe.control)
        words = [f"{key}={value}" for key, value in env.items()]
        return plait.lab.cpe.run(setting + shlex.join(["env", *words, os.path.join(HOOKS, name), *args]))
    return run


def test_networkmanager(lab, plait, hook):
    """The calls and variables of NetworkManager 1.42 with its own DHCP client."""
    lease = {"DHCP4_IP_ADDRESS": "10.20.1.2", "DHCP4_DHCP_LEASE_TIME": "120"}
    hook("networkmanager", "", "connectivity-change")
    hook("networkmanager", "dsl", "dhcp4-change")
    assert plait.converters() == []
    hook("networkmanager", "dsl", "up", DHCP4_PRIVATE_224="c6:33:64:02", **lease)
    assert plait.converters() == [("dsl.dhcp4", f"{lab.conv.addr4}:5124")]
    # No call comes when the lease is renewed.
    assert [c["lease_left"] for c in plait.cpe.ask("converters")["converters"]] == [0]
    hook("networkmanager", "dsl", "dhcp4-change")
    assert len(plait.converters()) == 1
    hook("networkmanager", "dsl", "dhcp4-change", **lease)
    assert plait.converters() == []
    hook("networkmanager", "lte", "dhcp4-change", DHCP4_PRIVATE_230="c6336402", PLAIT_DHCP4_OPTION="230", **lease)
    assert plait.converters() == [("lte.dhcp4", f"{lab.conv.addr4}:5124")]
    hook("networkmanager", "lte", "down")
    assert plait.converters() == []


def test_networkd(lab, plait, server, dhcp, client, hook):
    """Of systemd-networkd the hook reads lease files; systemd is to run it when they change, here it is us."""
    dhcp(option=f"{lab.conv.addr4},198.51.100.9")
    running = client("systemd-networkd")
    # Named by the interface's number; until it is whole, otherwise.
    number = lab.cpe.run("cat /sys/class/net/dsl/ifindex").stdout.strip()
    wait_until(lambda: number in os.listdir(running.leases), 30, lambda: f"a lease: {running.said()}")
    hook("networkd", PLAIT_LEASES=running.leases)
    both_are_learnt(lab, plait, server)
    running.release()
    assert os.listdir(running.leases) == []
    hook("networkd", PLAIT_LEASES=running.leases)
    assert plait.converters() == []
