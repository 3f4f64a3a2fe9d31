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
        found.append("python3-gi")
    if not any(os.path.exists(p + "/at-spi-bus-launcher") for p in ("/usr/libexec", "/usr/lib/at-spi2-core")):
        found.append("at-spi2-core")
    return found


def python():
    """A Python that has the bindings: perhaps the distribution's, beside another one that comes first in PATH."""
    probe = "from gi.repository import Gio, GLib"
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
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp()  # where the accessibility bus has its socket: tests beside us have theirs
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


# Of AT-SPI's numbers, those that are used here.
ROLES = {43: "push button", 29: "label", 62: "toggle button", 32: "list item", 7: "check box"}
EDITABLE, FOCUSED, SENSITIVE, VISIBLE = 7, 12, 24, 30


class Thing:
    """A widget as a screen reader has it."""

    def __init__(self, path, name, role, states, interfaces):
        self.path, self.name, self.role, self.interfaces = path, name or "", role, interfaces
        self.states = states[0] | states[1] << 32 if len(states) > 1 else 0

    def has(self, state):
        return self.states >> state & 1

    def can(self, interface):
        return "org.a11y.atspi." + interface in self.interfaces


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
        if "LSAN_OPTIONS" in os.environ:  # drivers that are tried and unloaded leave leaks of which nobody can say whose they are
            self.env["GDK_DEBUG"] = "gl-disable"
            self.env["VMCTL"] = self.vmctl_program = self.without_leaks(vmctl)
        for name in ("WAYLAND_DISPLAY", "LANGUAGE"):
            self.env.pop(name, None)
        os.environ["DISPLAY"] = self.env["DISPLAY"]
        self.notes = self.home + "/notifications"
        self.desktop = subprocess.Popen([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "notifications.py"), self.notes])
        wait_for("desktop's notifications", lambda: os.path.exists(self.notes))
        self.app = self.a11y = self.name = None
        self.asked = {}  # widgets whose children were asked for, and when

    def without_leaks(self, vmctl):
        """vmctl as a program that does not look for leaks of its own: what is fenced in cannot be looked at."""
        path = self.home + "/vmctl"
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'#!/bin/sh\nASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 exec {vmctl} "$@"\n')
        os.chmod(path, 0o755)
        return path

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
        self.name, self.asked = None, {}
        wait_for("accessible application", self.app_name)
        return took

    def alive(self):
        assert self.app.poll() is None, f"the manager ended with {self.app.returncode}: {self.said()}"

    def said(self):
        self.log.flush()
        return open(self.home + "/manager.log", encoding="utf-8", errors="replace").read()[-2000:]

    def stop(self):
        """With a build that looks for leaks (tests/gui/sanitized) as a user ends it: one that is killed does not tell of them."""
        if self.app and self.app.poll() is None:
            if "LSAN_OPTIONS" in os.environ:
                self.run("gdbus", "call", "--session", "-d", "org.terrarium.Terrarium", "-o", "/org/terrarium/Terrarium", "-m",
                         "org.gtk.Actions.Activate", "quit", "[]", "{}", check=False)
                try:
                    self.app.wait(WAIT)
                except subprocess.TimeoutExpired:
                    self.app.terminate()
            else:
                self.app.terminate()
            self.app.wait()
        self.app = None

    def focus(self):
        """There is no window manager: the newest window of the manager gets the keys."""
        windows = self.run("xdotool", "search", "--onlyvisible", "--pid", str(self.app.pid), check=False).split()
        self.run("xdotool", "windowfocus", "--sync", windows[-1], check=False)

    def look_away(self):
        """No window has the keyboard: what ends then is told by the desktop, which keeps it, and not by a toast, which goes."""
        width, height = (int(n) for n in self.run("xdotool", "getdisplaygeometry").split())
        self.run("xdotool", "mousemove", str(width - 1), str(height - 1), "windowfocus", "1")  # PointerRoot

    def keys(self, *names):
        self.focus()
        self.run("xdotool", "key", "--clearmodifiers", *names)

    def action(self, name, parameter=None):
        """An action of the window, by the bus: of what AT-SPI has no action for in GTK 4.8."""
        self.run("gdbus", "call", "--session", "-d", "org.terrarium.Terrarium", "-o", "/org/terrarium/Terrarium/window/1",
                 "-m", "org.gtk.Actions.Activate", name, "[]" if parameter is None else f"[<'{parameter}'>]", "{}")

    def show_page(self, page):
        self.action("page", page)

    def picture(self, name):
        folder = os.environ.get("TERRARIUM_PICTURES")
        if folder and shutil.which("import"):
            os.makedirs(folder, exist_ok=True)
            self.run("import", "-window", "root", f"{folder}/{name}.png")

    def window(self):
        """The newest window of the manager that can be seen."""
        return self.run("xdotool", "search", "--onlyvisible", "--pid", str(self.app.pid)).split()[-1]

    def size(self):
        """Of that window: width and height in pixels."""
        lines = self.run("xdotool", "getwindowgeometry", "--shell", self.window()).split()
        values = dict(line.split("=") for line in lines if "=" in line)
        return int(values["WIDTH"]), int(values["HEIGHT"])

    def window_picture(self, name):
        folder = os.environ.get("TERRARIUM_PICTURES")
        if folder and shutil.which("import"):
            os.makedirs(folder, exist_ok=True)
            self.run("import", "-window", self.window(), f"{folder}/{name}.png")

    def notified(self):
        """What the desktop was told: titles of notifications, with their bodies behind a tab."""
        return open(self.notes, encoding="utf-8").read().split("\n")[:-1]

    def close(self):
        self.stop()
        for line in self.vmctl("list", "-o", "name", check=False).split("\n"):
            if line:
                self.vmctl("stop", "--force", line, check=False)
        for process in (self.desktop, self.server):
            process.terminate()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    # ---- what can be seen ----

    def bus(self):
        """The accessibility bus of this session."""
        if not self.a11y:
            from gi.repository import Gio
            session = Gio.bus_get_sync(Gio.BusType.SESSION)
            address = session.call_sync("org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus", "GetAddress", None, None, 0, 10000, None)
            flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
            self.a11y = Gio.DBusConnection.new_for_address_sync(address.unpack()[0], flags, None, None)
        return self.a11y

    def call(self, path, interface, method, form="()", *values):
        from gi.repository import Gio, GLib
        answer = self.bus().call_sync(self.app_name(), path, "org.a11y.atspi." + interface, method, GLib.Variant(form, values), None,
                                      Gio.DBusCallFlags.NONE, 10000, None)
        return answer.unpack()

    def app_name(self):
        """The program's name on that bus."""
        if self.name:
            return self.name
        from gi.repository import GLib
        bus = self.bus()
        names = bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListNames", None, None, 0, 10000, None)
        for name in names.unpack()[0]:
            pid = bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                                GLib.Variant("(s)", (name,)), None, 0, 10000, None) if name[0] == ":" else None
            if pid and pid.unpack()[0] == self.app.pid:
                self.name = name
        return self.name

    def items(self):
        """What the toolkit tells of in one answer: each widget by its path, as (parent, place there, number of children, Thing)."""
        answer = self.call("/org/a11y/atspi/cache", "Cache", "GetItems")[0]
        return {path: (parent, index, count, Thing(path, name, ROLES.get(role, str(role)), states, interfaces))
                for (_, path), _, (_, parent), index, count, interfaces, name, role, _, states in answer}

    def things(self):
        """All that shows, the newest window first, each depth first.  (GTK 4.8 has pages of a stack that are not shown among it: of two
        things the first is meant.)  The toolkit tells only of what somebody has asked for, so children that are missing are."""
        self.alive()
        if not self.app_name():
            return []
        for _ in range(40):
            items, children = self.items(), {}
            for path, (parent, index, _, _) in items.items():
                children.setdefault(parent, []).append((index, path))
            lacking = [(p, n) for p, (_, _, n, t) in items.items() if len(children.get(p, [])) < n and t.has(VISIBLE)]
            lacking += [(p, 0) for p in children if p.endswith("/root")] or [("/org/a11y/atspi/accessible/root", 0)]
            fresh = [(p, n) for p, n in lacking if n == 0 or time.monotonic() - self.asked.get(p, -9) > 1]
            for path, _ in fresh:
                self.asked[path] = time.monotonic()
                try:
                    self.call(path, "Accessible", "GetChildren")
                except Exception:  # it is gone
                    self.alive()
            if all(count == 0 for _, count in fresh) and items:
                break
        things = []

        def walk(parent, newest_first):
            for _, path in sorted(children.get(parent, []), reverse=newest_first):
                if items[path][3].has(VISIBLE):
                    things.append(items[path][3])
                    walk(path, False)
        for root in [p for p in children if p.endswith("/root")]:
            walk(root, True)
        return things

    def find(self, role=None, name=None):
        """The first with that role, and a name that holds that one."""
        return next((t for t in self.things() if (role is None or t.role == role) and (name is None or name in t.name)), None)

    def see(self, name, role=None, seconds=WAIT):
        return self.wait(f"{role or 'thing'} named {name!r}", lambda: self.find(role, name), seconds)

    def wait(self, what, check, seconds=WAIT):
        def look():
            try:
                return check()
            except AssertionError:
                raise
            except Exception:  # what was found is gone by now
                return None
        try:
            return wait_for(what, look, seconds)
        except AssertionError as problem:
            names = sorted({t.name for t in self.things() if t.name})
            raise AssertionError(f"{problem}; there are: {names[:80]}") from None

    def gone(self, name, role=None):
        wait_for(f"end of {name!r}", lambda: not self.find(role, name))

    def click(self, name, role=None):
        def act():
            thing = next((t for t in self.things() if (role is None or t.role == role) and name in t.name and t.can("Action")), None)
            return thing and thing.has(SENSITIVE) and self.call(thing.path, "Action", "DoAction", "(i)", 0)[0]
        self.wait(f"{role or 'thing'} to click named {name!r}", act)

    def click_to(self, name, shows, role="push button"):
        """Clicks until something shows: a button of a window that is just coming may not hear."""
        def there():  # (a button that was hidden stays among what shows, but is not sensitive)
            return any(t.role == role and shows in t.name and t.has(SENSITIVE) for t in self.things())

        def act():
            if there():
                return True
            self.click(name, role)
            try:
                return wait_for(shows, there, 2)
            except AssertionError:
                return False
        self.wait(f"{shows!r} after a click on {name!r}", act)

    def click_away(self, name, shown):
        """Clicks until what was shown is gone: a button of a window that is just coming may not hear."""
        self.see(shown)
        for _ in range(10):
            thing = self.find("push button", name)
            try:
                if thing:
                    self.call(thing.path, "Action", "DoAction", "(i)", 0)
                wait_for("end of it", lambda: not self.find(None, shown), 3)
                return
            except Exception:  # it does not hear yet, or is gone by now
                self.alive()
        raise AssertionError(f"{shown!r} stays after clicks on {name!r}")

    def focused(self):
        """What has the keyboard, of the newest window; None: nothing that is known."""
        return next((t.name for t in self.things() if t.has(FOCUSED)), None)

    def tab_to(self, name):
        for _ in range(40):
            if self.focused() == name:
                return
            self.keys("Tab")
        raise AssertionError(f"no way by keyboard to {name}")

    def told(self, text):
        """In the window if that is in front, else by the desktop."""
        self.wait(text, lambda: any(text in n for n in self.notified()) or self.find("label", text))

    def field(self, name):
        return self.wait(f"field named {name!r}", lambda: next((t for t in self.things() if name in t.name and t.can("EditableText")), None))

    def type_into(self, name, text):
        assert self.call(self.field(name).path, "EditableText", "SetTextContents", "(s)", text)[0]

    def typed(self, name, text):
        """Waits until the field has a text that begins so."""
        self.wait(f"{text!r} in {name!r}", lambda: self.call(self.field(name).path, "Text", "GetText", "(ii)", 0, 1000)[0].startswith(text))


def run_tests(tests, arguments, size="1280x900", vm=True):
    """tests: functions of a Desk, one after another on the same one.  arguments: manager, vmctl, VM process."""
    lacking = missing()
    if lacking:
        print(f"1..0 # SKIP not installed: {', '.join(lacking)}")
        return
    on_own_bus()
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
            except Exception as problem:
                said = desk.said() if desk.app else ""
                print(f"not ok {i} {test.__name__}\n# {problem!r}\n# " + said.replace("\n", "\n# "), flush=True)
                desk.picture(f"{i:02}-{test.__name__}-failed")
    finally:
        desk.close()
        shutil.rmtree(os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
