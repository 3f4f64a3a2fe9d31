#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A desktop that is told of notifications (org.gtk.Notifications), and writes each as a line into a file.  Usage: notifications.py FILE"""
import sys

from gi.repository import Gio, GLib

METHODS = Gio.DBusNodeInfo.new_for_xml("""<node><interface name="org.gtk.Notifications">
<method name="AddNotification"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{sv}" direction="in"/></method>
<method name="RemoveNotification"><arg type="s" direction="in"/><arg type="s" direction="in"/></method>
</interface></node>""")


def on_call(connection, sender, path, interface, method, arguments, invocation):
    if method == "AddNotification":
        note = arguments.unpack()[2]
        with open(sys.argv[1], "a", encoding="utf-8") as out:
            out.write(f"{note.get('title', '')}\t{note.get('body', '')}\n")
    invocation.return_value(None)


def on_name(connection, name):
    open(sys.argv[1], "a", encoding="utf-8").close()


bus = Gio.bus_get_sync(Gio.BusType.SESSION)
bus.register_object("/org/gtk/Notifications", METHODS.interfaces[0], on_call)
Gio.bus_own_name_on_connection(bus, "org.gtk.Notifications", Gio.BusNameOwnerFlags.NONE, on_name, None)
GLib.MainLoop().run()
