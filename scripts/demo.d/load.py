"""load.py OUT PORT PORT…: small, steady load on loopback; counts what fails until told to stop (SIGTERM), 30 minutes at most.

Each round asks every port once. A client that asks the next port when one fails has failed only when all ports failed.
OUT gets one JSON object: per port requests and failures, rounds, and rounds in which no port answered.
"""

import http.client
import json
import signal
import sys
import time

ROUNDS_A_SECOND = 20
MOST_SECONDS = 1800

stopped = False


def stop(*_):
    global stopped
    stopped = True


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


signal.signal(signal.SIGTERM, stop)
out, ports = sys.argv[1], [int(p) for p in sys.argv[2:]]
counts = {port: {"requests": 0, "failed": 0} for port in ports}
rounds = nobody = 0
end = time.monotonic() + MOST_SECONDS
while not stopped and time.monotonic() < end:
    answers = []
    for port in ports:
        ok = ask(port)
        counts[port]["requests"] += 1
        counts[port]["failed"] += not ok
        answers.append(ok)
    rounds += 1
    nobody += not any(answers)
    time.sleep(1 / ROUNDS_A_SECOND)
with open(out, "w") as file:
    json.dump({"ports": counts, "rounds": rounds, "nobody": nobody}, file)
