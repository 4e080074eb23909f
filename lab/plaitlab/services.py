# SPDX-License-Identifier: ISC
"""Real services in a namespace."""

import os
import socket
import subprocess

from .procs import LabError, wait_until

_NGINX = """\
daemon off;
user root;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} backlog=4096;
        root {root};
        location /upload/ {{
            client_max_body_size 0;
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
}}
"""


class Nginx:
    """nginx that serves `root`; what is PUT to /upload/NAME becomes the file `upload/NAME` in it.

    Attributes: root, port, url4 and url6 (without a slash at the end), access_log, error_log.
    """

    def __init__(self, ns, root=None, port=80):
        directory = ns.lab.new_dir(f"nginx-{ns.role}-{port}")
        self.ns = ns
        self.port = port
        self.root = str(root) if root else os.path.join(directory, "root")
        os.makedirs(os.path.join(self.root, "upload"), exist_ok=True)
        self.access_log = os.path.join(directory, "access.log")
        self.error_log = os.path.join(directory, "error.log")
        self.url4 = f"http://{ns.addr4}:{port}" if ns.addr4 else None
        self.url6 = f"http://[{ns.addr6}]:{port}" if ns.addr6 else None
        config = os.path.join(directory, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(_NGINX.format(dir=directory, root=self.root, port=port))
        self._log = os.path.join(directory, "stderr")
        with open(self._log, "wb") as log:
            self.proc = ns.popen(["nginx", "-e", self.error_log, "-c", config, "-p", directory],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._listens, 10, f"nginx in {ns.role} does not listen")

    def path(self, name):
        """The file that is served as /name."""
        return os.path.join(self.root, name)

    def _listens(self):
        if self.proc.poll() is not None:
            with open(self._log, encoding="utf-8", errors="replace") as log:
                raise LabError(f"nginx in {self.ns.role} ended: {log.read().strip()}")
        with self.ns.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.ns.lab.tracker.end([self.proc])
