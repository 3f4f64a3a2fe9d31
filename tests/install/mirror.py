# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Debian mirror, served on the host's loopback address: the packages of a base system and those components of the
installer that make one, fetched by apt from the mirror that this machine has its own packages from, behind index files of
our own, which are not signed.  Two components are ours: components/disk, in the place of the partitioner's forty, and
components/boot.  Two are made of packages: debootstrap and mke2fs."""
import email.utils
import gzip
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import tempfile
import threading

# What the installer asks for beside what is required, important or needed by that.
WANTED = ["busybox", "console-setup", "debootstrap", "discover", "dmidecode", "e2fsprogs", "eject", "grub-pc", "ifupdown", "initramfs-tools",
          "installation-report", "isc-dhcp-client", "keyboard-configuration", "laptop-detect", "locales", "os-prober", "pciutils",
          "popularity-contest", "systemd-sysv", "tasksel", "usbutils", "util-linux-extra", "util-linux-locales", "zstd"]
KERNEL = {"amd64": "linux-image-amd64", "i386": "linux-image-686-pae"}
SUITE, INSTALLER = "bookworm", "main/debian-installer"
# Components of the installer that its initrd lacks; KERNEL is its kernel.
COMPONENTS = ["base-installer", "bootstrap-base", "ata-modules-KERNEL-di", "pata-modules-KERNEL-di", "sata-modules-KERNEL-di",
              "scsi-modules-KERNEL-di", "ext4-modules-KERNEL-di"]
HERE = os.path.dirname(os.path.abspath(__file__))
OWN = {  # ours: what is said of them, and what packages they are made of
    "disk": ("Provides: mounted-partitions, created-fstab, di-utils-mapdevfs\nInstaller-Menu-Item: 4000\n"
             "Depends: mke2fs, ata-modules, pata-modules, sata-modules, scsi-modules, ext4-modules", ()),
    "boot": ("Installer-Menu-Item: 7000\nDepends: installed-base", ()),
    "debootstrap-udeb": ("Depends: mounted-partitions", ("debootstrap",)),
    "mke2fs": ("", ("e2fsprogs", "libext2fs2", "libcom-err2")),
}


class Missing(Exception):
    pass


def kernel_version(path):
    """Of a Linux image: a text that its header points at (Documentation/x86/boot.rst, kernel_version)."""
    with open(path, "rb") as f:
        data = f.read(65536)
    at = int.from_bytes(data[0x20e:0x210], "little") + 0x200
    return data[at:data.index(b" ", at)].decode()


def field(package, name):
    found = re.search(rf"^{name}: (.*)$", package, re.M)
    return found[1] if found else ""


def installed(initrd):
    """Names of the components in the installer's initrd."""
    out = subprocess.run(f"zcat '{initrd}' | cpio -i --quiet --to-stdout var/lib/dpkg/status", shell=True, check=True,
                         capture_output=True, text=True).stdout
    return set(re.findall(r"^Package: (.*)$", out, re.M))


def needed(there, names, have):
    """The packages of these names and those of what they depend on that there are, but those in `have`, and ours."""
    found, left = {}, list(names)
    while left:
        name = left.pop()
        if name not in there or name in found or name in OWN or name in have or name == "di-utils-mapdevfs":
            continue
        found[name] = there[name]
        left += [d.split()[0] for d in field(there[name], "Depends").split(",") if d.strip()]
    return [found[n] for n in sorted(found)]


def put(tree, path, text):
    with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
        f.write(text)


class Packages:
    """What the mirror has for one architecture.  cache: the folder of guests.sh, in which everything stays."""

    def __init__(self, cache, arch, kernel, initrd):
        """kernel, initrd: the installer's."""
        self.arch, self.kernel, self.root = arch, kernel_version(kernel), os.path.join(cache, ".mirror")
        self.have = installed(initrd)
        self.lock = threading.Lock()
        self.prepare(os.path.join(cache, ".apt/etc/sources.list"))
        self.lists = self.read_lists()
        self.debs = self.fetch_debs()
        self.files = self.pool()

    # apt with lists and a cache of its own, like that of guests.sh, and with the installer's packages

    def prepare(self, sources):
        for d in ("state/lists/partial", "cache/archives/partial", "etc/sources.list.d", "udebs"):
            os.makedirs(os.path.join(self.root, d), exist_ok=True)
        with open(sources, encoding="utf-8") as f:
            lines = re.sub(r" main\n", " main main/debian-installer\n", f.read())
        with open(os.path.join(self.root, "etc/sources.list"), "w", encoding="utf-8") as f:
            f.write(lines)
        if not os.path.exists(os.path.join(self.root, "ready")):
            self.apt("update", "-qq")
            put(self.root, "ready", "")

    def apt(self, *args, tool="apt-get", cwd=None):
        r = self.root
        options = [f"APT::Architecture={self.arch}", f"Dir::State={r}/state", f"Dir::Cache={r}/cache", "Dir::State::status=/dev/null",
                   f"Dir::Etc::SourceList={r}/etc/sources.list", f"Dir::Etc::SourceParts={r}/etc/sources.list.d",
                   "APT::Architectures::=amd64", "APT::Architectures::=i386", "APT::Sandbox::User=root", "Debug::NoLocking=1"]
        p = subprocess.run([tool, *[x for o in options for x in ("-o", o)], *args], capture_output=True, text=True, cwd=cwd)
        if p.returncode:
            raise Missing(f"{tool} {' '.join(args)[:200]}: {p.stderr.strip()[-500:]}")
        return p.stdout

    def read_lists(self):
        """{component: [a package's lines]} of our architecture."""
        lists = {}
        out = self.apt("indextargets", "--format", "$(CREATED_BY)|$(ARCHITECTURE)|$(COMPONENT)|$(FILENAME)")
        for line in out.splitlines():
            kind, arch, component, name = line.split("|")
            if kind == "Packages" and arch == self.arch:
                text = self.apt("cat-file", name, tool="/usr/lib/apt/apt-helper")
                lists[component] = [p for p in text.split("\n\n") if p.strip()]
        if set(lists) != {"main", INSTALLER}:
            raise Missing(f"apt has the lists {sorted(lists)} only")
        return lists

    def wanted(self):
        """Required and important ones, what the installer asks for, and a kernel."""
        names = [field(p, "Package") for p in self.lists["main"] if field(p, "Priority") in ("required", "important")]
        return sorted({*names, *WANTED, KERNEL[self.arch]})

    def fetch_debs(self):
        """{name: file} of these and all that they depend on, downloaded."""
        install = ["install", "-y", "-qq", "--no-install-recommends"]
        uris = self.apt(*install, "--print-uris", "-o", "Dir::Cache::archives=/nowhere", *self.wanted())
        self.apt(*install, "--download-only", *self.wanted())
        names = re.findall(r"^'[^']*' (\S+\.deb) ", uris, re.M)
        return {n.split("_")[0]: os.path.join(self.root, "cache/archives", n) for n in names}

    def pool(self):
        """{path on the mirror: file}; the lists become those of what there is."""
        self.lists["main"] = [p for p in self.lists["main"] if field(p, "Package") in self.debs]
        files = {field(p, "Filename"): self.debs[field(p, "Package")] for p in self.lists["main"]}
        there = {field(p, "Package"): p for p in self.lists[INSTALLER]}
        self.lists[INSTALLER] = []
        for p in needed(there, [c.replace("KERNEL", self.kernel) for c in COMPONENTS], self.have):
            files[field(p, "Filename")] = self.component(p)
            self.lists[INSTALLER].append(re.sub(r"^Priority: .*$", "Priority: standard", p, flags=re.M))
        for name, (fields, packages) in OWN.items():
            files[f"pool/own/{name}.udeb"] = self.build(name, fields, packages)
        return files

    def component(self, p):
        name = os.path.join(self.root, "udebs", os.path.basename(field(p, "Filename")))
        if not os.path.exists(name):
            self.apt("download", "-qq", f"{field(p, 'Package')}:{self.arch}={field(p, 'Version')}", cwd=os.path.dirname(name))
        return name

    def build(self, name, fields, packages):
        """A component of our own, in the index, too."""
        out = os.path.join(self.root, "udebs", f"own-{name}-{self.arch}.udeb")
        with tempfile.TemporaryDirectory() as tree:
            os.mkdir(os.path.join(tree, "DEBIAN"))
            for package in packages:
                self.unpack(package, tree)
            about = (f"Package: {name}\nVersion: 1\nArchitecture: {self.arch}\nMaintainer: nobody\nSection: debian-installer\n"
                     f"Priority: standard\n{fields}\n").replace("-modules", f"-modules-{self.kernel}-di").replace("\n\n", "\n")
            about += f"Description: {name} of the installation test\n"
            put(tree, "DEBIAN/control", about)
            if os.path.exists(os.path.join(HERE, "components", name)):
                put(tree, "DEBIAN/templates", f"Template: debian-installer/{name}/title\nType: text\nDescription: {name}\n")
                shutil.copy(os.path.join(HERE, "components", name), os.path.join(tree, "DEBIAN/postinst"))
            subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--nocheck", "-b", tree, out], check=True, capture_output=True)
        with open(out, "rb") as f:
            data = f.read()
        self.lists[INSTALLER].append(f"{about}Filename: pool/own/{name}.udeb\nSize: {len(data)}\n"
                                     f"SHA256: {hashlib.sha256(data).hexdigest()}\nMD5sum: {hashlib.md5(data).hexdigest()}\n")
        return out

    def unpack(self, package, tree):
        """Programs and libraries; the installer's places for libraries are the same."""
        with tempfile.TemporaryDirectory() as all_of_it:
            subprocess.run(["dpkg-deb", "-x", self.debs[package], all_of_it], check=True)
            for part in ("sbin", "lib", "usr/sbin", "usr/lib", "usr/share/debootstrap"):
                source = os.path.join(all_of_it, part)
                if os.path.isdir(source):
                    shutil.copytree(source, os.path.join(tree, part), symlinks=True, dirs_exist_ok=True)

    def file(self, path):
        """The package at that path, or None."""
        return self.files.get(path)

    def indexes(self):
        """{path below dists/SUITE: content}"""
        made = {f"{c}/binary-{self.arch}/Packages.gz": gzip.compress("\n\n".join(p).encode() + b"\n", mtime=0)
                for c, p in self.lists.items()}
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
        path = self.path.partition("?")[0].lstrip("/")
        dists = f"debian/dists/{SUITE}/"
        if path in self.server.extra:
            return self.server.extra[path]
        if path.startswith(dists):
            return self.server.indexes.get(path[len(dists):])
        name = self.server.packages.file(path[len("debian/"):]) if path.startswith("debian/pool/") else None
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
