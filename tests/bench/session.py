# SPDX-License-Identifier: GPL-2.0-or-later
"""What the processes of one target cost, whichever of them started which."""
import os


def cpu_seconds(session):
    """CPU seconds of all processes of a session that there are."""
    total = 0.0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
