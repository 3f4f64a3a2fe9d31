#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manager at a glance, for every change: it starts, lists machines, follows what vmctl does, starts and stops one.  The guest is
tests/core-vmm/scripted_guest.c.  Prints TAP.  Usage: test_manager_smoke.py MANAGER VMCTL SCRIPTED_VM"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from manager import run_tests, wait_for  # noqa: E402


def empty_start(desk):
    took = desk.start()
    print(f"# its window came after {took:.2f} s")
    desk.see("Welcome to Terrarium")
    desk.see("Create Virtual Machine", "push button")


def follows_vmctl(desk):
    desk.vmctl("create", "first", "--memory", "16M", "--nic", "none")
    desk.see("first")
    desk.vmctl("set", "first", "machine.name=Erste <b>&", "machine.os=linux")
    desk.see("Erste <b>&")


def starts_and_stops(desk):
    desk.click("Start", "push button")
    wait_for("running machine", lambda: "running" in desk.vmctl("list"))
    desk.see("Running")
    wait_for("screen window", lambda: desk.run("xdotool", "search", "--class", "terrarium-screen", check=False).strip())
    desk.click("Pause", "push button")
    desk.see("Paused")
    desk.vmctl("stop", "--force", "first")
    desk.see("Off")


def settings_show_and_follow(desk):
    """Names with markup in them are names; what vmctl sets is seen on the page."""
    desk.vmctl("set", "first", "machine.cmdline=<i>&'", "ide0.file=a<b>&'.img", "ide0.format=raw")
    desk.see("a<b>&'.img")
    desk.show_page("settings")
    desk.see("Search settings")
    desk.vmctl("set", "first", "machine.cpus=2")
    desk.typed("Processors", "2")
    desk.show_page("log")
    desk.see("Search the log")
    desk.show_page("overview")


def a_damaged_machine_is_shown(desk):
    folder = desk.home + "/data/terrarium/machines/broken"
    os.mkdir(folder)
    with open(folder + "/machine.ini", "w", encoding="utf-8") as f:
        f.write("[machine]\nmemry=1\n")
    desk.see("Settings are damaged")
    desk.vmctl("delete", "broken")
    desk.gone("broken")


def last_one_deleted(desk):
    desk.vmctl("delete", "first")
    desk.see("Welcome to Terrarium")


def speaks_german(desk):
    desk.stop()
    desk.env["LANGUAGE"] = "de"
    desk.start()
    desk.see("Willkommen bei Terrarium")


run_tests([empty_start, follows_vmctl, starts_and_stops, settings_show_and_follow, a_damaged_machine_is_shown, last_one_deleted,
           speaks_german], sys.argv[1:])
