# SPDX-License-Identifier: ISC
"""A network lab for plait: namespaces, emulated access links, captures, services.

    with Lab([Link("dsl", rate=50, delay=15), Link("lte", rate=30, delay=30)]) as lab:
        lab.host.run(["ping", "-c1", lab.server.addr4])

Needs root, iproute2 and the plait-linkem binary; the standard library of Python only.
"""

from .capture import Capture
from .links import Controls, Emulator, Link, build_dir
from .netns import Namespace
from .owner import clean
from .procs import LabError, wait_until
from .topology import LAN4, LAN6, MTU, Lab, Wan

__all__ = ["Capture", "Controls", "Emulator", "Lab", "LabError", "LAN4", "LAN6", "Link", "MTU",
           "Namespace", "Wan", "build_dir", "clean", "wait_until"]
