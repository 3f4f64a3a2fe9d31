# SPDX-License-Identifier: GPL-2.0-or-later
"""A desk for tests of the screen window: an Xvfb, a machine whose guest obeys orders (tests/core-vmm/scripted_guest.c), the window,
a window manager if one is wanted, and what is on the display."""
import ctypes
import os
import shutil
import subprocess
import tempfile

from pictures import WAIT, wait_for

LEAST = "400 x 300"  # the smallest window, which a picture of 64 dots gets
SCREEN_SIZE = (1000, 700)


class Desk:
    """A display, a machine "vm" with a guest that obeys orders, and a window on it."""

    def __init__(self, vmctl, scripted_vm, screen, *settings):
        """settings: more words for vmctl create."""
        self.program, self.screen_program = vmctl, screen
        self.home = tempfile.mkdtemp()
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "%dx%dx24" % SCREEN_SIZE, "-noreset"], pass_fds=[write],
                                       stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as line:
            number = line.readline().strip()
        os.mkdir(self.home + "/run", 0o700)
        self.env = dict(os.environ, HOME=self.home, XDG_RUNTIME_DIR=self.home + "/run", XDG_DATA_HOME=self.home + "/data",
                        DISPLAY=":" + number, TERRARIUM_VM=scripted_vm, SDL_VIDEODRIVER="x11", DBUS_SESSION_BUS_ADDRESS="disabled:")
        for name in ("XDG_CONFIG_HOME", "XDG_PICTURES_DIR", "WAYLAND_DISPLAY"):
            self.env.pop(name, None)
        self.serial = self.home + "/serial"
        self.screen = None
        self.vmctl("create", "vm", "--serial", self.serial, *settings)

    def run(self, *command):
        return subprocess.run(command, env=self.env, check=True, capture_output=True, text=True, timeout=WAIT).stdout

    def vmctl(self, *words):
        return self.run(self.program, *words)

    def start(self):
        self.start_machine()
        self.open_window()

    def start_machine(self):
        self.vmctl("start", "vm")
        self.vmctl("serial", "vm", "--send", "mode 64\\n")
        self.vmctl("wait", "vm", "--serial", "mode 64\r\n", "--timeout", str(WAIT))

    def open_window(self, *words):
        self.screen = subprocess.Popen([self.screen_program, *words, "vm"], env=self.env)
        self.window = wait_for("window", self.find_window)
        self.focus()
        wait_for("picture", lambda: self.size() == LEAST)

    def close_window(self):
        if self.screen.poll() is None:
            self.screen.kill()
        self.screen.wait()

    def focus(self):
        """Again, while a window manager is still on its way to showing it."""
        wait_for("focus", lambda: subprocess.run(["xdotool", "windowfocus", "--sync", self.window], env=self.env, capture_output=True,
                                                 timeout=WAIT).returncode == 0)

    def lose_focus(self):
        root = self.run("xdotool", "search", "--maxdepth", "0", ".*").split()[0]
        self.run("xdotool", "windowfocus", root, "sleep", "0.2")

    def ask(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True).stdout

    def windows(self):
        """Finished ones: SDL may throw its first try away; the title comes last."""
        found = self.ask("xdotool", "search", "--class", "terrarium-screen").split()
        return [w for w in found if self.ask("xdotool", "getwindowname", w).startswith("vm: ")]

    def find_window(self):
        return next(iter(self.windows()), None)

    def size(self):
        lines = self.run("xdotool", "getwindowgeometry", self.window)
        return lines.split("Geometry: ")[1].strip().replace("x", " x ")

    def title(self):
        return self.run("xdotool", "getwindowname", self.window)

    def title_has(self, text):
        wait_for(f"title with '{text}'", lambda: text in self.title())

    def host(self, key):
        self.run("xdotool", "keydown", "Control_R", "key", key, "keyup", "Control_R")

    def got(self, codes):
        wait_for(f"keys {codes}", lambda: codes in open(self.serial, errors="replace").read())

    def ends(self):
        assert self.screen.wait(WAIT) == 0

    def close(self):
        if self.screen and self.screen.poll() is None:
            self.screen.kill()
        subprocess.run([self.program, "stop", "--force", "vm"], env=self.env, capture_output=True)
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.home)

    # ---- a window manager ----

    def start_manager(self, *command):
        """Returns its process when it has taken over the display."""
        manager = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("window manager", lambda: manager.poll() is not None or is_managed(self.env["DISPLAY"]))
        assert manager.poll() is None, command
        return manager

    # ---- what is on the display ----

    def place(self):
        """Of the window's inside: x, y, width, height on the display."""
        values = dict(line.split("=") for line in self.run("xdotool", "getwindowgeometry", "--shell", self.window).split())
        return tuple(int(values[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))

    def pixels(self, x, y, width, height):
        """Rows of (r, g, b), as anybody who looks at the display sees them."""
        return display_pixels(self.env["DISPLAY"], x, y, width, height)

    def window_pixels(self):
        return self.pixels(*self.place())


class _Image(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("width", "height", "xoffset", "format")] + [("data", ctypes.c_void_p)] + [
        (name, ctypes.c_int) for name in ("byte_order", "bitmap_unit", "bitmap_bit_order", "bitmap_pad", "depth", "bytes_per_line",
                                          "bits_per_pixel")]


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "width", "height", "border_width", "depth")] + [
        ("visual", ctypes.c_void_p), ("root", ctypes.c_ulong)] + [
        (name, ctypes.c_int) for name in ("window_class", "bit_gravity", "win_gravity", "backing_store")] + [
        ("backing_planes", ctypes.c_ulong), ("backing_pixel", ctypes.c_ulong), ("save_under", ctypes.c_int), ("colormap", ctypes.c_ulong),
        ("map_installed", ctypes.c_int), ("map_state", ctypes.c_int), ("all_event_masks", ctypes.c_long), ("your_event_mask", ctypes.c_long),
        ("do_not_propagate_mask", ctypes.c_long), ("override_redirect", ctypes.c_int), ("screen", ctypes.c_void_p)]


def is_managed(display):
    """A window manager is whoever has the root window's SubstructureRedirect (ICCCM 4.2)."""
    x11 = ctypes.CDLL("libX11.so.6")
    for name, result, arguments in (("XOpenDisplay", ctypes.c_void_p, [ctypes.c_char_p]),
                                    ("XDefaultRootWindow", ctypes.c_ulong, [ctypes.c_void_p]),
                                    ("XCloseDisplay", ctypes.c_int, [ctypes.c_void_p]),
                                    ("XGetWindowAttributes", ctypes.c_int, [ctypes.c_void_p, ctypes.c_ulong, ctypes.POINTER(_Attributes)])):
        getattr(x11, name).restype = result
        getattr(x11, name).argtypes = arguments
    connection, attributes = x11.XOpenDisplay(display.encode()), _Attributes()
    assert connection, display
    told = x11.XGetWindowAttributes(connection, x11.XDefaultRootWindow(connection), attributes)
    x11.XCloseDisplay(connection)
    return bool(told and attributes.all_event_masks & 1 << 20)


def display_pixels(display, x, y, width, height):
    x11 = ctypes.CDLL("libX11.so.6")
    for name, result, arguments in (("XOpenDisplay", ctypes.c_void_p, [ctypes.c_char_p]),
                                    ("XDefaultRootWindow", ctypes.c_ulong, [ctypes.c_void_p]),
                                    ("XCloseDisplay", ctypes.c_int, [ctypes.c_void_p]),
                                    ("XGetImage", ctypes.POINTER(_Image), [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_int,
                                                                           ctypes.c_uint, ctypes.c_uint, ctypes.c_ulong, ctypes.c_int])):
        getattr(x11, name).restype = result
        getattr(x11, name).argtypes = arguments
    connection = x11.XOpenDisplay(display.encode())
    assert connection, display
    image = x11.XGetImage(connection, x11.XDefaultRootWindow(connection), x, y, width, height, 0xffffffff, 2)  # ZPixmap
    assert image and image.contents.bits_per_pixel == 32
    stride = image.contents.bytes_per_line
    data = ctypes.string_at(image.contents.data, stride * height)
    x11.XCloseDisplay(connection)
    return [[(data[i + 2], data[i + 1], data[i]) for i in range(row * stride, row * stride + 4 * width, 4)] for row in range(height)]
