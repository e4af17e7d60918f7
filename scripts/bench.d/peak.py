"""peak.py NAME CMD…: runs CMD, and appends to NAME.s how long it took, to NAME.cpu how many seconds of processor time it and what it
started used, and to NAME.mb how much memory it had at most."""

import resource
import subprocess
import sys
import time

name, *command = sys.argv[1:]
begun = time.monotonic()
status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
took = time.monotonic() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
for what, figure in [
    ("s", f"{took:.3f}"),
    ("cpu", f"{used.ru_utime + used.ru_stime:.3f}"),
    # Of the largest of its processes, in KiB.
    ("mb", f"{used.ru_maxrss / 1024:.1f}"),
]:
    with open(f"{name}.{what}", "a", encoding="ascii") as out:
        print(figure, file=out)
# `diff` says with 1 that the images differ, and `outdated` with 10 that something is pending.
sys.exit(0 if status in (0, 1, 10) else status)
