# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Debian mirror, served on the host's loopback address, where NAT's guests reach it: the packages of a base system,
fetched by apt from the mirror that this machine has its own packages from, and the installer's components
(components.py), behind index files of our own, which are not signed."""
import email.utils
import gzip
import hashlib
import http.server
import os
import re
import threading
import urllib.parse

from components import Components, Missing, field, put, run

# What the installer asks for beside what is required, important or needed by that.
WANTED = ["busybox", "console-setup", "debootstrap", "discover", "dmidecode", "e2fsprogs", "eject", "fdisk", "grub-pc", "ifupdown",
          "initramfs-tools", "installation-report", "isc-dhcp-client", "keyboard-configuration", "laptop-detect", "locales", "os-prober",
          "pciutils", "popularity-contest", "rdnssd", "sudo", "systemd-sysv", "tasksel", "usbutils", "usr-is-merged", "util-linux-extra",
          "util-linux-locales", "zstd"]
SUITE, INSTALLER = "bookworm", "main/debian-installer"


def kernel_version(path):
    """Of a Linux image: a text that its header points at (Documentation/x86/boot.rst, kernel_version)."""
    with open(path, "rb") as f:
        data = f.read(65536)
    at = int.from_bytes(data[0x20e:0x210], "little") + 0x200
    return data[at:data.index(b" ", at)].decode()


class Packages:
    """What the mirror has for one architecture.  cache: the folder of guests.sh, in which everything stays; kernel: the
    installer's."""

    def __init__(self, cache, arch, kernel):
        self.arch, self.kernel, self.root = arch, kernel_version(kernel), os.path.join(cache, ".mirror")
        self.prepare(os.path.join(cache, ".apt/etc/sources.list"))
        self.lists = self.read_lists(arch)
        self.debs = self.fetch_debs()
        self.components = Components(self, os.path.join(self.root, "components", arch))
        self.lists["main"] = [p for p in self.lists["main"] if self.is_fetched(p)]
        self.files = {field(p, "Filename"): self.debs[field(p, "Package")] for p in self.lists["main"]}
        self.files.update({self.components.path(name): file for name, file in self.components.files.items()})

    # apt with lists and a cache of its own, like that of guests.sh, and with the installer's packages and the sources

    def prepare(self, sources):
        for d in ("state/lists/partial", "cache/archives/partial", "etc/sources.list.d", "other"):
            os.makedirs(os.path.join(self.root, d), exist_ok=True)
        with open(sources, encoding="utf-8") as f:
            lines = re.sub(r" main\n", " main main/debian-installer\n", f.read())
        lines += re.sub(r"^deb ", "deb-src ", lines, flags=re.M).replace(f" {INSTALLER}", "")
        with open(os.path.join(self.root, "etc/sources.list"), "w", encoding="utf-8") as f:
            f.write(lines)
        if not os.path.exists(os.path.join(self.root, "complete")):
            self.apt("update", "-qq")
            put(self.root, "complete", "")

    def apt(self, *args, tool="apt-get", cwd=None):
        r = self.root
        options = [f"APT::Architecture={self.arch}", f"Dir::State={r}/state", f"Dir::Cache={r}/cache", "Dir::State::status=/dev/null",
                   f"Dir::Etc::SourceList={r}/etc/sources.list", f"Dir::Etc::SourceParts={r}/etc/sources.list.d",
                   "APT::Sandbox::User=root", "Debug::NoLocking=1"]
        return run(tool, *[x for o in options for x in ("-o", o)], *args, cwd=cwd)

    def read_lists(self, of):
        """{component: [a package's lines]} of an architecture."""
        lists = {}
        out = self.apt("indextargets", "--format", "$(CREATED_BY)|$(ARCHITECTURE)|$(COMPONENT)|$(FILENAME)")
        for line in out.splitlines():
            kind, arch, component, name = line.split("|")
            if kind == "Packages" and arch == of:
                text = self.apt("cat-file", name, tool="/usr/lib/apt/apt-helper")
                lists[component] = [p for p in text.split("\n\n") if p.strip()]
        if set(lists) != {"main", INSTALLER}:
            raise Missing(f"apt has the lists {sorted(lists)} only")
        return lists

    def wanted(self):
        """Those that the installer's task "standard" installs, what else it asks for, and a kernel."""
        names = [field(p, "Package") for p in self.lists["main"] if field(p, "Priority") in ("required", "important", "standard")]
        return sorted({*names, *WANTED, "linux-image-amd64"})

    def fetch_debs(self):
        """{name: file} of these and all that they depend on, downloaded."""
        install = ["install", "-y", "-qq", "--no-install-recommends"]
        uris = self.apt(*install, "--print-uris", "-o", "Dir::Cache::archives=/nowhere", *self.wanted())
        self.apt(*install, "--download-only", *self.wanted())
        names = re.findall(r"^'[^']*' (\S+\.deb) ", uris, re.M)
        return {n.split("_")[0]: os.path.join(self.root, "cache/archives", n) for n in names}

    def is_fetched(self, about):
        """Not another version of it: the archive's lists have those of its updates too."""
        file = os.path.basename(self.debs.get(field(about, "Package"), ""))
        return file.split("_")[1:2] == [field(about, "Version").replace(":", "%3a")]

    # for the components

    def about(self, name):
        """The list's lines of a component, or ""."""
        return next((p for p in self.lists[INSTALLER] if field(p, "Package") == name), "")

    def deb(self, name):
        """An ordinary package, on the mirror or not."""
        return self.debs.get(name) or self.fetch(name, self.lists["main"], self.arch)

    def fetch(self, name, packages, arch):
        about = next((p for p in packages if field(p, "Package") == name), None)
        if not about:
            raise Missing(f"there is no package {name} for {arch}")
        file = os.path.join(self.root, "other", os.path.basename(field(about, "Filename")))
        if not os.path.exists(file):
            arch = arch if field(about, "Architecture") != "all" else self.arch
            self.apt("download", "-qq", f"{name}:{arch}={field(about, 'Version')}", cwd=os.path.dirname(file))
        return file

    def indexes(self):
        """{path below dists/SUITE: content}"""
        made = {}
        for component, packages in {"main": self.lists["main"], INSTALLER: self.components.index()}.items():
            name = f"{component}/binary-{self.arch}/Packages"
            made[name] = b"".join(p.strip().encode() + b"\n\n" for p in packages)  # apt wants that one told of, whichever it takes
            made[name + ".gz"] = gzip.compress(made[name], mtime=0)
        made[f"main/binary-{self.arch}/Release"] = (f"Archive: stable\nOrigin: Debian\nLabel: Debian\nComponent: main\n"
                                                    f"Architecture: {self.arch}\n").encode()
        now = email.utils.formatdate(usegmt=True)
        lines = [f"Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: {SUITE}\nVersion: 12\nDate: {now}\n"
                 f"Architectures: {self.arch}\nComponents: main\nSHA256:\n"]
        lines += [f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n" for path, data in sorted(made.items())]
        made["Release"] = "".join(lines).encode()
        return made


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def find(self):
        path = urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/")
        dists = f"debian/dists/{SUITE}/"
        if path in self.server.extra:
            return self.server.extra[path]
        if path.startswith(dists):
            return self.server.indexes.get(path[len(dists):])
        name = self.server.packages.files.get(path[len("debian/"):]) if path.startswith("debian/pool/") else None
        if not name:
            return None
        with open(name, "rb") as f:
            return f.read()

    def answer(self, body):
        data = self.find()
        self.server.asked.append((self.path, len(data) if data is not None else None))
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if body and data:
            self.wfile.write(data)

    def do_GET(self):  # noqa: N802, the library's name
        self.answer(True)

    def do_HEAD(self):  # noqa: N802
        self.answer(False)

    def log_message(self, *args):
        pass


class Mirror:
    """Serves it on a port of 127.0.0.1 until close().  extra: {path: content} beside the mirror."""

    def __init__(self, packages, extra=None):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.packages, self.server.indexes = packages, packages.indexes()
        self.server.extra, self.server.asked = extra or {}, []
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self):
        """[(path, bytes or None if there is no such)]"""
        return list(self.server.asked)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
