"""Runs a command that cannot outlive whoever started it.

    supervise.py COMMAND [ARGUMENT...]

The first line on standard output is the command's process ID; the command itself writes to
standard error only. Each line on standard input is a signal for it, such as TERM. When standard
input ends, because it was closed or because the process holding it is gone, the command and
everything it started are killed. The exit code is the command's, or 128 plus the signal that
ended it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_CHILD_SUBREAPER = 36


def main():
    # Processes whose parent dies become ours, so that none escapes into a group of its own.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    command = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    print(command.pid, flush=True)
    threading.Thread(target=obey, args=[command], daemon=True).start()
    code = command.wait()
    kill_the_rest(command.pid)
    sys.exit(code if code >= 0 else 128 - code)


def obey(command):
    for line in sys.stdin:
        os.kill(command.pid, getattr(signal, "SIG" + line.strip()))
    os.kill(command.pid, signal.SIGKILL)


def kill_the_rest(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while orphans := children():
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            os.waitpid(pid, 0)


def children():
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


main()
