# SPDX-License-Identifier: ISC
"""Who owns a lab, so that what a crashed run left behind can be told from a lab that lives.

Each lab has a directory below /run/plait-lab with the record `owner` (process id and start time) from
before its first namespace exists until after its last one is gone.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal

from .procs import LabError, call, wait_until

RUN_DIR = "/run/plait-lab"
NETNS_DIR = "/run/netns"


def start_time(pid):
    """When a process started, in clock ticks since boot; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@contextlib.contextmanager
def _locked():
    os.makedirs(RUN_DIR, mode=0o755, exist_ok=True)
    with open(os.path.join(RUN_DIR, ".lock"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def register(name, tmp):
    """Take a lab's name for this process; its directory below /run/plait-lab."""
    path = os.path.join(RUN_DIR, name)
    record = {"pid": os.getpid(), "start": start_time(os.getpid()), "tmp": tmp}
    with _locked():
        if os.path.exists(path) or namespaces(name):
            raise LabError(f"a lab named {name} exists already")
        os.mkdir(path, mode=0o700)
        with open(os.path.join(path, "owner"), "w", encoding="utf-8") as file:
            json.dump(record, file)
    return path


def _record(name):
    try:
        with open(os.path.join(RUN_DIR, name, "owner"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def alive(name):
    """Whether the process that made the lab still runs. Without a record: no, as it comes first."""
    record = _record(name)
    return bool(record) and start_time(record["pid"]) == record["start"]


def labs():
    """The names of all labs, alive or not."""
    try:
        return sorted(n for n in os.listdir(RUN_DIR) if not n.startswith("."))
    except FileNotFoundError:
        return []


def namespaces(name):
    """The names of a lab's namespaces."""
    pattern = re.compile(rf"plait-{re.escape(name)}-[a-z]+[0-9]*")
    try:
        return sorted(n for n in os.listdir(NETNS_DIR) if pattern.fullmatch(n))
    except FileNotFoundError:
        return []


def _kill_within(namespace):
    def pids():
        return call(["ip", "netns", "pids", namespace]).split()

    def gone():
        # Not this process itself, should its main thread be in there.
        left = [pid for pid in pids() if int(pid) != os.getpid()]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        return not left

    wait_until(gone, 5, f"processes in {namespace} do not end")


def remove(name):
    """Remove what there is of a lab: processes, namespaces (with their interfaces), files."""
    record = _record(name)
    for namespace in namespaces(name):
        _kill_within(namespace)
        call(["ip", "netns", "delete", namespace])
    if record and record.get("tmp"):
        shutil.rmtree(record["tmp"], ignore_errors=True)
    shutil.rmtree(os.path.join(RUN_DIR, name), ignore_errors=True)


def clean():
    """Remove the labs whose owner is dead; their names."""
    removed = []
    with _locked():
        for name in labs():
            if not alive(name):
                remove(name)
                removed.append(name)
    return removed
