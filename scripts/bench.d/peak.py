"""peak.py SECONDS MEGABYTES CMD…: runs CMD, and appends how long it took and how much memory it had at most."""

import resource
import subprocess
import sys
import time

seconds, megabytes, *command = sys.argv[1:]
begun = time.monotonic()
status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
took = time.monotonic() - begun
with open(seconds, "a", encoding="ascii") as out:
    print(f"{took:.3f}", file=out)
with open(megabytes, "a", encoding="ascii") as out:
    # Of the largest of its processes, in KiB.
    print(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.1f}", file=out)
# `diff` says with 1 that the images differ, and `outdated` with 10 that something is pending.
sys.exit(0 if status in (0, 1, 10) else status)
