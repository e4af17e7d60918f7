"""ask.py SECONDS TIMES PID URL: asks so many times, and appends how long each answer took; prints its size in bytes and how
much of a processor each one cost PID, in milliseconds."""

import os
import sys
import time
import urllib.request

seconds, times, pid, url = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
# Answers are shared for two seconds.
PAUSE = 2.5


def spent():
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


size, cost = 0, 0.0
for _ in range(times):
    time.sleep(PAUSE)
    before, begun = spent(), time.monotonic()
    with urllib.request.urlopen(url, timeout=120) as answer:
        size = len(answer.read())
    took = time.monotonic() - begun
    cost += spent() - before
    with open(seconds, "a", encoding="ascii") as out:
        print(f"{took:.3f}", file=out)
print(f"{size} bytes, {1000 * cost / times:.0f} ms of CPU")
