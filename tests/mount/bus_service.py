#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The other side on a D-Bus: bus_service.py notifications|logind.

Says what it is asked for on standard output, one JSON list a line.  The logind does what it is
told on standard input: "sleep" and "wake" are signalled.
"""

import json
import os
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib


def say(*words):
    print(json.dumps(words), flush=True)


class Notifications(dbus.service.Object):
    NAME = "org.freedesktop.Notifications"

    def __init__(self, bus):
        super().__init__(dbus.service.BusName(self.NAME, bus), "/org/freedesktop/Notifications")
        self.last = 0

    @dbus.service.method(NAME, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, _app, replaces, _icon, summary, body, _actions, _hints, _expires):
        if not replaces:
            self.last += 1
        number = int(replaces or self.last)
        say("shown", number, str(summary), str(body))
        return number

    @dbus.service.method(NAME, in_signature="u")
    def CloseNotification(self, number):
        say("closed", int(number))


class Logind(dbus.service.Object):
    NAME = "org.freedesktop.login1"
    MANAGER = NAME + ".Manager"

    def __init__(self, bus):
        super().__init__(dbus.service.BusName(self.NAME, bus), "/org/freedesktop/login1")
        GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN, self.told)

    def told(self, *_):
        word = os.read(sys.stdin.fileno(), 100).decode().strip()
        self.PrepareForSleep(word == "sleep")
        return True

    @dbus.service.method(MANAGER, in_signature="ssss", out_signature="h")
    def Inhibit(self, what, who, _why, mode):
        reading, writing = os.pipe()
        GLib.io_add_watch(reading, GLib.IO_HUP, self.released, reading)
        fd = dbus.types.UnixFd(writing)
        os.close(writing)
        say("inhibited", str(what), str(who), str(mode))
        return fd

    def released(self, _source, _condition, reading):
        os.close(reading)
        say("released")
        return False

    @dbus.service.signal(MANAGER, signature="b")
    def PrepareForSleep(self, begins):
        pass


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
kind = {"notifications": Notifications, "logind": Logind}[sys.argv[1]]
service = kind(dbus.SessionBus())
say("ready")
GLib.MainLoop().run()
