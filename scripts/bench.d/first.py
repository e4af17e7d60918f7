"""first.py DATABASE begun TERM KIND LEAST | next TERM KIND FROM | over: waits (60 s at most) for what lowtide journals.

begun: until KIND (run or rollout) has LEAST events in TERM. next: until KIND has one in a term after TERM; prints the seconds
from FROM (since the epoch) until then. over: until no rollout is open."""

import sqlite3
import sys
import time

connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
what = sys.argv[2]
# The past that a bench made up is of earlier days.
TODAY = "opened > strftime('%Y-%m-%d', 'now', '-1 day')"


def there():
    if what == "over":
        (still,) = connection.execute("SELECT count(*) FROM streams WHERE kind = 'rollout' AND closed IS NULL").fetchone()
        return still == 0
    term, kind = int(sys.argv[3]), sys.argv[4]
    compare, least = ("=", int(sys.argv[5])) if what == "begun" else (">", 1)
    (count,) = connection.execute(
        f"SELECT count(*) FROM events JOIN streams ON id = stream WHERE term {compare} ? AND kind = ? AND {TODAY}",
        (term, kind),
    ).fetchone()
    return count >= least


end = time.monotonic() + 60
while not there():
    if time.monotonic() > end:
        sys.exit("it was not journalled in 60 s")
    time.sleep(0.005)
if what == "next":
    print(f"{time.time() - float(sys.argv[5]):.3f}")
