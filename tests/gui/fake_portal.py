# SPDX-License-Identifier: GPL-2.0-or-later
"""A desktop's portal for files, whose user chooses at once: usage fake_portal.py FILE, with a session bus.  Says "ready".
With FILE "-" the portal dies when it is asked."""
import os
import sys

from gi.repository import Gio, GLib

INTERFACE = """<node><interface name="org.freedesktop.portal.FileChooser"><method name="OpenFile"><arg type="s" direction="in"/>
<arg type="s" direction="in"/><arg type="a{sv}" direction="in"/><arg type="o" direction="out"/></method></interface></node>"""


def on_call(bus, sender, _path, _interface, _method, arguments, call):
    word = arguments.unpack()[2]["handle_token"]
    request = f"/org/freedesktop/portal/desktop/request/{sender[1:].replace('.', '_')}/{word}"
    call.return_value(GLib.Variant("(o)", (request,)))
    if sys.argv[1] == "-":
        bus.flush_sync(None)
        os._exit(0)
    uri = Gio.File.new_for_path(sys.argv[1]).get_uri()
    bus.emit_signal(sender, request, "org.freedesktop.portal.Request", "Response",
                    GLib.Variant("(ua{sv})", (0, {"uris": GLib.Variant("as", [uri])})))


def on_bus(bus, _name):
    bus.register_object("/org/freedesktop/portal/desktop", Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0], on_call, None, None)


Gio.bus_own_name(Gio.BusType.SESSION, "org.freedesktop.portal.Desktop", Gio.BusNameOwnerFlags.NONE, on_bus,
                 lambda _bus, _name: print("ready", flush=True), None)
GLib.MainLoop().run()
