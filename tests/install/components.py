# SPDX-License-Identifier: GPL-2.0-or-later
"""Where each component of the installer comes from that its initrd lacks.  Not every archive keeps all of them, so the first
of these ways that works is taken:

* the archive: the component as it is there;
* built: by dpkg-buildpackage from the distribution's source package;
* repacked: the files of an ordinary package of the distribution, which has the same programs;
* ours: a shell script in components/, in the place of the partitioner and of the boot loader's and the last component.

A component is a package that udpkg unpacks and whose postinst is a step of the installer's menu (Debian's "Internals of the
installer", udeb)."""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ARCHIVE = ["base-installer", "bootstrap-base", "pkgsel"]
BUILT = {"apt-setup": ["apt-mirror-setup", "apt-setup-udeb"], "debootstrap": ["debootstrap-udeb"]}  # source: components
MODULES = ["ata-modules", "pata-modules", "sata-modules", "scsi-modules", "ext4-modules", "cdrom-core-modules"]
REPACKED = {  # fields, packages
    "e2fsprogs-udeb": ("", ["e2fsprogs", "libext2fs2", "libcom-err2"]),
    "fdisk-udeb": ("", ["fdisk", "libfdisk1", "libsmartcols1"]),
    "user-setup-udeb": ("", ["user-setup"]),
}
OURS = {
    "disk": "Provides: mounted-partitions, created-fstab, di-utils-mapdevfs\nInstaller-Menu-Item: 4000\n"
            "Depends: e2fsprogs-udeb, fdisk-udeb, {modules}\n",
    "boot": "Installer-Menu-Item: 7400\nDepends: installed-base, pkgsel, user-setup-udeb\n",
}
PARTS = ("bin", "sbin", "lib", "usr/bin", "usr/sbin", "usr/lib")


class Missing(Exception):
    """It is to be had in no way; the text says why."""


def put(tree, path, text, mode=0o644):
    name = os.path.join(tree, path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(name, mode)


def run(*args, **more):
    try:
        p = subprocess.run(args, capture_output=True, text=True, check=False, **more)
    except FileNotFoundError as e:
        raise Missing(f"{args[0]} is not installed") from e
    if p.returncode:
        raise Missing(f"{' '.join(args)[:200]}: {(p.stderr or p.stdout).strip()[-500:]}")
    return p.stdout


def field(package, name):
    found = re.search(rf"^{name}: (.*)$", package, re.M)
    return found[1] if found else ""


def unpack(deb, tree):
    """A package's programs, libraries and questions, in the places that the installer has them in."""
    with tempfile.TemporaryDirectory() as all_of_it:
        run("dpkg-deb", "-R", deb, all_of_it)
        for part in PARTS:
            if os.path.isdir(os.path.join(all_of_it, part)):
                shutil.copytree(os.path.join(all_of_it, part), os.path.join(tree, part), symlinks=True, dirs_exist_ok=True)
        if os.path.exists(os.path.join(all_of_it, "DEBIAN/templates")):
            shutil.copy(os.path.join(all_of_it, "DEBIAN/templates"), os.path.join(tree, "DEBIAN/templates"))


class Components:
    """Of one architecture.  packages: the mirror's, with apt() and deb(); they land in `folder`."""

    def __init__(self, packages, folder):
        self.packages, self.arch, self.kernel, self.folder = packages, packages.arch, packages.kernel, folder
        self.origin, self.files = {}, {}  # {component: "archive", "built"...}, {component: file}
        os.makedirs(folder, exist_ok=True)
        modules = [f"{m}-{self.kernel}-di" for m in MODULES]
        for name in ARCHIVE + modules:
            self.add(name, "archive", self.from_archive(name))
        for source, names in BUILT.items():
            self.build(source, names)
        for name, (fields, packages) in REPACKED.items():
            self.repack(name, fields, packages)
        for name, fields in OURS.items():
            self.ours(name, fields.format(modules=", ".join(modules)))

    def add(self, name, origin, file):
        self.origin[name], self.files[name] = origin, file

    def from_archive(self, name):
        """The file, or Missing."""
        about = self.packages.about(name)
        if not about:
            raise Missing(f"there is no component {name}")
        return self.packages.fetch(name, [about], self.arch)

    def try_archive(self, *names):
        """Whether the archive has all of these, which then are ours."""
        try:
            files = [self.from_archive(n) for n in names]
        except Missing:
            return False
        for name, file in zip(names, files):
            self.add(name, "archive", file)
        return True

    def made(self, name, origin):
        """Whether this one was repacked before, by these lines; what is ours is always made anew."""
        file = os.path.join(self.folder, f"{name}_{self.arch}.udeb")
        if not os.path.exists(file) or os.path.getmtime(file) < os.path.getmtime(__file__):
            return False
        self.add(name, origin, file)
        return True

    def pack(self, name, fields, tree, origin):
        """A component of the files in `tree`."""
        about = (f"Package: {name}\nVersion: 1\nArchitecture: {self.arch}\nMaintainer: nobody\nSection: debian-installer\n"
                 f"Priority: standard\n{fields}Description: {name} of the installation test\n")
        put(tree, "DEBIAN/control", about)
        file = os.path.join(self.folder, f"{name}_{self.arch}.udeb")
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "--nocheck", "-b", tree, file)
        self.add(name, origin, file)

    def repack(self, name, fields, packages):
        origin = f"repacked from {', '.join(packages)}"
        if self.made(name, origin) or self.try_archive(name):
            return
        with tempfile.TemporaryDirectory() as tree:
            os.mkdir(os.path.join(tree, "DEBIAN"))
            for package in packages:
                unpack(self.packages.deb(package), tree)
            self.pack(name, fields, tree, origin)

    def build(self, source, names):
        """By dpkg-buildpackage, once: what is built stays."""
        found = {n: self.built(n) for n in names}
        if None in found.values() and self.try_archive(*names):
            return
        if None in found.values():
            with tempfile.TemporaryDirectory() as place:
                self.packages.apt("source", "-qq", "--download-only", source, cwd=place)
                run("dpkg-source", "-x", *[f for f in os.listdir(place) if f.endswith(".dsc")], "tree", cwd=place)
                run("dpkg-buildpackage", "-b", "-d", "-uc", "-us", f"-a{self.arch}", cwd=os.path.join(place, "tree"))
                for file in os.listdir(place):
                    if file.endswith(".udeb"):
                        shutil.move(os.path.join(place, file), os.path.join(self.folder, file))
            found = {n: self.built(n) for n in names}
        for name, file in found.items():
            if not file:
                raise Missing(f"source package {source} built no {name}")
            self.add(name, f"built from source package {source}{self.compared(name, file)}", file)

    def compared(self, name, file):
        """Builds are reproducible: it should be the one that the archive's list tells of."""
        with open(file, "rb") as f:
            same = hashlib.sha256(f.read()).hexdigest() == field(self.packages.about(name), "SHA256")
        return ", bit for bit the archive's" if same else ""

    def built(self, name):
        files = [f for f in os.listdir(self.folder) if re.fullmatch(rf"{name}_[^_]*_({self.arch}|all)\.udeb", f)]
        return os.path.join(self.folder, files[0]) if files else None

    def ours(self, name, fields):
        with tempfile.TemporaryDirectory() as tree:
            put(tree, "DEBIAN/templates", f"Template: debian-installer/{name}/title\nType: text\nDescription: {name}\n")
            shutil.copy(os.path.join(HERE, "components", name), os.path.join(tree, "DEBIAN/postinst"))
            self.pack(name, fields, tree, "ours")

    def index(self):
        """What the list of components says of them."""
        entries = []
        for name, file in sorted(self.files.items()):
            with open(file, "rb") as f:
                data = f.read()
            about = re.sub(r"^Priority: .*\n", "", run("dpkg-deb", "-f", file), flags=re.M).strip()
            entries.append(f"{about}\nPriority: standard\nFilename: {self.path(name)}\nSize: {len(data)}\n"
                           f"SHA256: {hashlib.sha256(data).hexdigest()}\nMD5sum: {hashlib.md5(data).hexdigest()}\n")
        return entries

    def path(self, name):
        return f"pool/components/{os.path.basename(self.files[name])}"
