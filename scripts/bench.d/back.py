"""back.py DATABASE: of the last rollout that was rolled back, in seconds: from the verdict to the end of the rollout without
the time in which the old container proved itself, and from the verdict until it served."""

import datetime
import json
import sqlite3
import sys

connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
(stream,) = connection.execute("SELECT id FROM streams WHERE kind = 'rollout' ORDER BY opened DESC LIMIT 1").fetchone()
events = connection.execute("SELECT body, at FROM events WHERE stream = ? ORDER BY seq", (stream,)).fetchall()
verdict = served = proved = None
asked = over = None
for body, at in events:
    event, at = json.loads(body), datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
    match event["event"]:
        case "revert_decided":
            verdict = at
        case "step_started" if verdict and event["step"]["containers"]["step"] == "await_ready":
            asked = at
        case "step_ended" if asked and not served:
            served, proved = at, at - asked
        case "concluded":
            over = at
if not (verdict and served and over):
    sys.exit("the last rollout was not rolled back")
print(f"{(over - verdict - proved).total_seconds():.3f} {(served - verdict).total_seconds():.3f}")
