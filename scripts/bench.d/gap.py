"""gap.py PORT OUT: asks 127.0.0.1:PORT every few milliseconds until SIGTERM (120 s at most); OUT gets the longest time, in
seconds, between two good answers. OUT.begun is there from the first one on."""

import http.client
import signal
import sys
import time

MOST_SECONDS = 120
PAUSE = 0.005

stopped = False


def stop(*_):
    global stopped
    stopped = True


signal.signal(signal.SIGTERM, stop)
port, out = int(sys.argv[1]), sys.argv[2]
last, longest = None, 0.0
end = time.monotonic() + MOST_SECONDS
while not stopped and time.monotonic() < end:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.5)
    try:
        connection.request("GET", "/")
        if connection.getresponse().status == 200:
            now = time.monotonic()
            if last is None:
                open(out + ".begun", "w").close()
            else:
                longest = max(longest, now - last)
            last = now
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    time.sleep(PAUSE)
with open(out, "w") as file:
    print(f"{longest:.3f}", file=file)
