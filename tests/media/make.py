# SPDX-License-Identifier: GPL-2.0-or-later
"""Media for the tests of core-vmm/look and core-vmm/install: small ISOs that look like systems' own, made by xorriso, genisoimage
and wimlib; and a user's empty account to try vmctl in."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

VMCTL, LOOK = (os.path.abspath(a) for a in sys.argv[1:3])


def run(*args, **more):
    p = subprocess.run(args, capture_output=True, check=False, **more)
    assert not p.returncode, f"{' '.join(args)}: {p.stderr.decode(errors='replace')[-500:]}"
    return p.stdout


def missing(*programs):
    """The reason to skip, or None."""
    gone = [p for p in programs if not shutil.which(p)]
    return f"{', '.join(gone)} not installed" if gone else None


class Host:
    """A user's empty account, and a folder for files."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="terrarium-test-")
        os.mkdir(self.base + "/run", 0o700)
        os.makedirs(self.base + "/osinfo/os")
        self.env = dict(os.environ, XDG_DATA_HOME=self.base + "/data", XDG_RUNTIME_DIR=self.base + "/run", HOME=self.base,
                        LC_ALL="C.UTF-8", TZ="Europe/Vienna", TERRARIUM_LOOK=LOOK, OSINFO_SYSTEM_DIR=self.base + "/osinfo",
                        ASAN_OPTIONS="detect_leaks=0")  # the fence forbids the process that would look for them
        return self

    def __exit__(self, *unused):
        for name in self.run("list", "--running", "-o", "name")[1].split():
            self.run("stop", "--force", name)
        shutil.rmtree(self.base)

    def path(self, name):
        return os.path.join(self.base, name)

    def run(self, *args, stdin=b"", timeout=60):
        p = subprocess.run([VMCTL, *args], env=self.env, input=stdin, capture_output=True, timeout=timeout, cwd=self.base,
                           check=False)
        return p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace")

    def want(self, code, *args, err="", out="", stdin=b""):
        c, o, e = self.run(*args, stdin=stdin)
        assert c == code, f"vmctl {' '.join(args)}: exit {c}, not {code}\n{o}{e}"
        assert err in e, f"vmctl {' '.join(args)}: stderr has no {err!r}: {e!r}"
        assert out in o, f"vmctl {' '.join(args)}: stdout has no {out!r}: {o!r}"
        assert code == 0 or e, f"vmctl {' '.join(args)}: no word about what is wrong"
        return o

    def detect(self, name):
        return json.loads(self.want(0, "media", "detect", name, "-o", "json"))

    def inside(self, iso, name):
        """A file of a medium, by the program that reads media."""
        return run(LOOK, "extract", self.path(iso), name, "100000000", env=self.env)

    def ini(self, name):
        with open(self.path(f"data/terrarium/machines/{name}/machine.ini"), encoding="utf-8") as f:
            return f.read()

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())

    def tree(self, name, files):
        os.makedirs(self.path(name), exist_ok=True)
        for file, data in files.items():
            self.write(f"{name}/{file}", data)
        return self.path(name)

    def iso(self, name, files, volume="VOLUME", options=("-r", "-J")):
        tree = self.tree(name + ".d", files)
        run("xorriso", "-as", "mkisofs", "-quiet", "-V", volume, *options, "-o", self.path(name), tree)
        return name

    def wim(self, name, editions):
        """editions: [{property: value}], with NAME."""
        tree = self.tree("windows.d", {"Windows/explorer.exe": "MZ"})
        for i, e in enumerate(editions):
            properties = [f"--image-property={k}={v}" for k, v in e.items() if k != "NAME"]
            run("wimappend" if i else "wimcapture", tree, self.path(name), e["NAME"], *properties)

    def windows(self, name, build, editions=("Core", "Professional"), arch=9, language="en-US", udf=True):
        names = {"Core": "Home", "Professional": "Pro"}
        os.makedirs(self.path(name + ".d/sources"), exist_ok=True)
        self.wim(name + ".d/sources/install.wim",
                 [{"NAME": f"Windows {names.get(e, e)}", "DISPLAYNAME": f"Windows X {names.get(e, e)}", "WINDOWS/EDITIONID": e,
                   "WINDOWS/ARCH": arch, "WINDOWS/VERSION/BUILD": build, "WINDOWS/LANGUAGES/LANGUAGE": language} for e in editions])
        self.write(name + ".d/README.TXT", "This disc contains a UDF file system")
        if udf:  # nothing but the README on the other side, as on Windows' own media
            run("genisoimage", "-quiet", "-udf", "-V", "CCCOMA_X64FRE", "-hide", "sources", "-o", self.path(name), self.path(name + ".d"))
        else:
            run("xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-J", "-V", "WIN", "-o", self.path(name), self.path(name + ".d"))
        return name


DEBIAN = {".disk/info": 'Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27\n',
          "install.amd/vmlinuz": b"K" * 5000, "install.amd/initrd.gz": b"I" * 5001}
UBUNTU = {".disk/info": 'Ubuntu-Server 24.04 LTS "Noble Numbat" - Release amd64 (20240423)',
          "casper/vmlinuz": b"K" * 5000, "casper/initrd": b"I" * 5002}
FEDORA = {".treeinfo": "[general]\nfamily = Fedora\nversion = 40\nvariant = Server\narch = x86_64\n[images-x86_64]\n"
                       "kernel = images/pxeboot/vmlinuz\ninitrd = images/pxeboot/initrd.img\n",
          "images/pxeboot/vmlinuz": b"K" * 5000, "images/pxeboot/initrd.img": b"I" * 5003}


def main(tests):
    """Runs the functions of a module whose names begin with test_; each may return a reason to skip."""
    tests = [(n, f) for n, f in tests.items() if n.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, (name, test) in enumerate(tests, 1):
        try:
            with Host() as h:
                skip = test(h)
            print(f"ok {number} {name[5:]}" + (f" # SKIP {skip}" if skip else ""), flush=True)
        except Exception as e:  # a test that breaks has failed
            failed += 1
            text = f"{type(e).__name__}: {e}"[:3000].replace("\n", "\n# ")
            print(f"not ok {number} {name[5:]}\n# {text}", flush=True)
    sys.exit(failed > 0)
