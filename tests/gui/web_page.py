#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens a page in WebKit and prints the size and one pixel of its canvas as soon as that has a colour: "320x48 16,32,48".
Usage: web_page.py URL SECONDS"""
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import GLib, Gtk, WebKit2  # noqa: E402

LOOK = """(function () {
    var c = document.querySelector('canvas');
    if (!c || !c.width) return '';
    var d = c.getContext('2d').getImageData(5, 5, 1, 1).data;
    return d[0] || d[1] || d[2] ? c.width + 'x' + c.height + ' ' + d[0] + ',' + d[1] + ',' + d[2] : '';
})()"""


def main():
    window, view = Gtk.Window(), WebKit2.WebView()
    window.set_default_size(900, 600)
    window.add(view)
    window.show_all()
    view.load_uri(sys.argv[1])

    def looked(view, result, _):
        text = view.evaluate_javascript_finish(result).to_string()
        if text:
            print(text, flush=True)
            Gtk.main_quit()

    def look():
        view.evaluate_javascript(LOOK, -1, None, None, None, looked, None)
        return True

    GLib.timeout_add(500, look)
    GLib.timeout_add(int(float(sys.argv[2]) * 1000), Gtk.main_quit)
    Gtk.main()


main()
