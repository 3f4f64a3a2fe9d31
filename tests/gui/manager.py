# SPDX-License-Identifier: GPL-2.0-or-later
"""The manager as a user with a screen reader meets it: the real program on a display and a session bus of its own, seen and
steered by AT-SPI.  Warnings of GTK and GLib end it
(G_DEBUG)."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

WAIT = 20


def missing():
    """What this needs and is not there, in words; an empty list: nothing."""
    found = [p for p in ("Xvfb", "dbus-run-session", "xdotool") if not shutil.which(p)]
    if not python():
        found.append("python3-gi with gir1.2-atspi-2.0")
    if not any(os.path.exists(p + "/at-spi-bus-launcher") for p in ("/usr/libexec", "/usr/lib/at-spi2-core")):
        found.append("at-spi2-core")
    return found


def python():
    """A Python that has the bindings: perhaps the distribution's, beside another one that comes first in PATH."""
    probe = "import gi; gi.require_version('Atspi', '2.0'); from gi.repository import Atspi"
    for program in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(program) and not subprocess.run([program, "-c", probe], capture_output=True).returncode:
            return program
    return None


def on_own_bus():
    """Runs the script anew inside a session bus, unless it is.  Services of the bus write to its stdout: ours is another one."""
    if "TERRARIUM_TEST_OUT" in os.environ:
        os.dup2(int(os.environ["TERRARIUM_TEST_OUT"]), 1)
        return
    out = os.dup(1)
    os.set_inheritable(out, True)
    os.environ["TERRARIUM_TEST_OUT"] = str(out)
    os.environ.pop("DBUS_SESSION_BUS_ADDRESS", None)
    os.dup2(2, 1)
    os.execvp("dbus-run-session", ["dbus-run-session", "--", python()] + sys.argv)


def wait_for(what, check, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"no {what} after {seconds} s")


class Desk:
    """A display, a home, and the manager in it."""

    def __init__(self, manager, vmctl, vm, size="1280x900"):
        self.manager, self.vmctl_program = manager, vmctl
        self.home = tempfile.mkdtemp()
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", size + "x24", "-noreset"], pass_fds=[write],
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as line:
            number = line.readline().strip()
        os.mkdir(self.home + "/run", 0o700)
        self.env = dict(os.environ, HOME=self.home, XDG_RUNTIME_DIR=self.home + "/run", XDG_DATA_HOME=self.home + "/data",
                        XDG_CONFIG_HOME=self.home + "/config", XDG_CACHE_HOME=self.home + "/cache", DISPLAY=":" + number,
                        GDK_BACKEND="x11", GSK_RENDERER="cairo", G_DEBUG="fatal-warnings", GSETTINGS_BACKEND="memory",
                        GTK_A11Y="atspi", LC_ALL="C.UTF-8", SDL_VIDEODRIVER="x11", SDL_RENDER_DRIVER="software")
        if vm:
            self.env["TERRARIUM_VM"] = vm
        for name in ("WAYLAND_DISPLAY", "LANGUAGE"):
            self.env.pop(name, None)
        os.environ["DISPLAY"] = self.env["DISPLAY"]  # where Atspi finds its bus
        self.app = None

    # ---- programs ----

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, (command, done.stderr)
        return done.stdout

    def vmctl(self, *words, check=True):
        return self.run(self.vmctl_program, *words, check=check)

    def start(self, *files):
        """How long until its window can be seen, in seconds."""
        self.log = open(self.home + "/manager.log", "a+", encoding="utf-8")
        began = time.monotonic()
        self.app = subprocess.Popen([self.manager, *files], env=self.env, stderr=self.log, stdout=self.log)
        wait_for("window", lambda: self.run("xdotool", "search", "--onlyvisible", "--pid", str(self.app.pid), check=False).strip())
        took = time.monotonic() - began
        wait_for("accessible application", self.application)
        return took

    def alive(self):
        assert self.app.poll() is None, f"the manager ended with {self.app.returncode}: {self.said()}"

    def said(self):
        self.log.flush()
        return open(self.home + "/manager.log", encoding="utf-8", errors="replace").read()[-2000:]

    def stop(self):
        if self.app and self.app.poll() is None:
            self.app.terminate()
            self.app.wait()
        self.app = None

    def focus(self):
        """There is no window manager: the newest window of the manager gets the keys."""
        windows = self.run("xdotool", "search", "--onlyvisible", "--pid", str(self.app.pid), check=False).split()
        self.run("xdotool", "windowfocus", "--sync", windows[-1], check=False)

    def keys(self, *names):
        self.focus()
        self.run("xdotool", "key", "--clearmodifiers", *names)

    def action(self, name, parameter=""):
        """An action of the window, by the bus: of what AT-SPI has no action for in GTK 4.8."""
        self.run("gdbus", "call", "--session", "-d", "org.terrarium.Terrarium", "-o", "/org/terrarium/Terrarium/window/1",
                 "-m", "org.gtk.Actions.Activate", name, f"[<'{parameter}'>]", "{}")

    def show_page(self, page):
        self.action("page", page)

    def picture(self, name):
        folder = os.environ.get("TERRARIUM_PICTURES")
        if folder and shutil.which("import"):
            os.makedirs(folder, exist_ok=True)
            self.run("import", "-window", "root", f"{folder}/{name}.png")

    def close(self):
        self.stop()
        for line in self.vmctl("list", "-o", "name", check=False).split("\n"):
            if line:
                self.vmctl("stop", "--force", line, check=False)
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    # ---- what can be seen ----

    def application(self):
        from gi.repository import Atspi
        desktop = Atspi.get_desktop(0)
        desktop.clear_cache()
        for i in range(desktop.get_child_count()):
            try:
                app = desktop.get_child_at_index(i)
                if app and app.get_process_id() == self.app.pid:
                    return app
            except Exception:  # one that is just going
                continue
        return None

    def walk(self, node=None):
        """All that shows, depth first, the newest window first.  (GTK 4.8 has pages of a stack that are not shown among it: of two
        things the first is meant.)"""
        from gi.repository import Atspi
        top = node is None
        node = node or self.application()
        if node is None:
            return
        try:
            node.clear_cache()
            states = node.get_state_set()
            if not top and node.get_role_name() not in ("application",) and not states.contains(Atspi.StateType.VISIBLE):
                return
            yield node
            order = range(node.get_child_count())
            for i in reversed(order) if top else order:
                child = node.get_child_at_index(i)
                if child is not None:
                    yield from self.walk(child)
        except Exception:  # gone meanwhile
            return

    def find(self, role=None, name=None):
        """The first with that role and that name, or a name that holds it."""
        for node in self.walk():
            try:
                if (role is None or node.get_role_name() == role) and (name is None or name in (node.get_name() or "")):
                    return node
            except Exception:  # gone meanwhile
                continue
        return None

    def see(self, name, role=None, seconds=WAIT):
        def look():
            self.alive()
            return self.find(role, name)
        return wait_for(f"{role or 'thing'} named {name!r} (there are: {self.names()})", look, seconds)

    def names(self):
        return sorted({n.get_name() for n in self.walk() if n.get_name()})[:80]

    def gone(self, name, role=None):
        wait_for(f"end of {name!r}", lambda: not self.find(role, name))

    def click(self, name, role=None):
        from gi.repository import Atspi

        def act():
            self.alive()
            node = self.find(role, name)
            if not node or not node.get_state_set().contains(Atspi.StateType.SENSITIVE) or not node.get_n_actions():
                return False
            return node.do_action(0)
        wait_for(f"{role or 'thing'} to click named {name!r} (there are: {self.names()})", act)

    def fields(self):
        """Name and node of all that can be typed into."""
        from gi.repository import Atspi
        for node in self.walk():
            if node.get_state_set().contains(Atspi.StateType.EDITABLE):
                yield node.get_name() or "", node

    def field(self, name):
        return wait_for(f"field named {name!r} (there are: {[n for n, _ in self.fields()]})",
                        lambda: next((node for n, node in self.fields() if name in n), None))

    def type_into(self, name, text):
        from gi.repository import Atspi
        assert Atspi.EditableText.set_text_contents(self.field(name), text)

    def typed(self, name, text):
        """Waits until the field has a text that begins so; the text."""
        from gi.repository import Atspi

        def read():
            node = self.field(name)
            content = Atspi.Text.get_text(node, 0, Atspi.Text.get_character_count(node))
            return content if content.startswith(text) else seen.append(content)
        seen = []
        try:
            return wait_for(f"{text!r} in {name!r}", read)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; but {seen[-1:]}") from None


def run_tests(tests, arguments, size="1280x900", vm=True):
    """tests: functions of a Desk, one after another on the same one.  arguments: manager, vmctl, VM process."""
    lacking = missing()
    if lacking:
        print(f"1..0 # SKIP not installed: {', '.join(lacking)}")
        return
    on_own_bus()
    import gi
    gi.require_version("Atspi", "2.0")
    print(f"1..{len(tests)}", flush=True)
    desk = Desk(arguments[0], arguments[1], arguments[2] if vm else None, size)
    try:
        for i, test in enumerate(tests, 1):
            began = time.monotonic()
            try:
                test(desk)
                if desk.app:
                    desk.alive()
                desk.picture(f"{i:02}-{test.__name__}")
                print(f"ok {i} {test.__name__}\n# {time.monotonic() - began:.1f} s", flush=True)
            except (AssertionError, subprocess.SubprocessError) as problem:
                said = desk.said() if desk.app else ""
                print(f"not ok {i} {test.__name__}\n# {problem!r}\n# " + said.replace("\n", "\n# "), flush=True)
                desk.picture(f"{i:02}-{test.__name__}-failed")
    finally:
        desk.close()
