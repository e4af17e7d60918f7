"""first.py DATABASE begun TERM | next TERM FROM: waits (60 s at most) for what lowtide journals of its runs and rollouts.

begun: until a run has begun an effect in TERM. next: until a term after TERM has journalled an event; prints the seconds
from FROM (since the epoch) until then."""

import sqlite3
import sys
import time

database, what, term = sys.argv[1], sys.argv[2], int(sys.argv[3])
least = 3 if what == "begun" else 1
compare = "=" if what == "begun" else ">"
connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    (count,) = connection.execute(
        "SELECT count(*) FROM events JOIN streams ON id = stream"
        f" WHERE term {compare} ? AND kind != 'app' AND opened > strftime('%Y-%m-%d', 'now', '-1 day')",
        (term,),
    ).fetchone()
    if count >= least:
        if what == "next":
            print(f"{time.time() - float(sys.argv[4]):.3f}")
        sys.exit(0)
    time.sleep(0.005)
sys.exit("nothing was journalled in 60 s")
