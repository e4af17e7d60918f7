"""journal.py DATABASE APP APPS NIGHTS [different]: fills lowtide's database with the past of APPS apps, app-1 and so on, NIGHTS nights each.

Their runs and rollouts are copies of what APP's really were, with ids, names and days of their own: always of the shape that
this version writes. APP has been run twice: what the first run was, with its rollout, comes every tenth night, and what the
second one was, which found nothing to do, comes in the others. `different`: each app's images have a content of their own, by name,
and its packages are kept for each of them, with a difference that decides nothing. lowtide must not run meanwhile."""

import datetime
import hashlib
import os
import re
import sqlite3
import sys

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Nights from one release to the next.
RELEASES = 10


def ulid(day, number):
    value = (int(day.timestamp() * 1000) << 80) | (number << 40) | int.from_bytes(os.urandom(5), "big")
    return "".join(ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


database, app, apps, nights = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
connection = sqlite3.connect(database)
STREAM = "id, kind, app, opened, closed, cause, conclusion, checkpoint"
EVENT = "seq, version, body, at, term, kept"
streams = connection.execute(f"SELECT {STREAM} FROM streams WHERE app = ? ORDER BY opened, id", (app,)).fetchall()
events = {
    row[0]: connection.execute(f"SELECT {EVENT} FROM events WHERE stream = ? ORDER BY seq", (row[0],)).fetchall()
    for row in streams
}
ids = [row[0].split("/", 1)[1] for row in streams if row[1] != "app"]
second = [row for row in streams if row[1] == "run"][1]
facts = f"app/{app}"


def part(released):
    """The streams of one kind of night, and the app's events of it."""
    of = [row for row in streams if row[1] != "app" and (row[3] < second[3]) == released]
    return of, [event for event in events[facts] if (event[3] < second[3]) == released]


def contents():
    """What the app's images are known by."""
    found = set()
    for _, _, body, *_ in events[facts]:
        found.update(re.findall(r'"content":"sha256:([0-9a-f]{64})"', body))
    return sorted(found)


different = contents() if "different" in sys.argv[5:] else []
kinds = {released: part(released) for released in (True, False)}
today = datetime.datetime.now(datetime.timezone.utc)
made = 0
for number in range(1, apps + 1):
    name = f"app-{number}"
    stream = f"app/{name}"
    seen = 0
    connection.execute(
        f"INSERT INTO streams ({STREAM}) SELECT ?, kind, ?, opened, closed, cause, conclusion, NULL FROM streams WHERE id = ?",
        (stream, name, facts),
    )
    own = {content: hashlib.sha256(f"{name} {content}".encode()).hexdigest() for content in different}
    for content, moved_to in own.items():
        kept = connection.execute("SELECT body, at FROM evidence WHERE content = ? AND kind = 'packages'", (f"sha256:{content}",))
        for body, at in kept.fetchall():
            # The last five bytes of an LZ4 block are those of the text: a mark at the end of dpkg's status that decides nothing, so that
            # no two of the states are equal and all cost the same.
            mark = bytes(ord("a") + number // place % 26 for place in (676, 26, 1))
            own_body = body[:-5] + mark + body[-2:]
            connection.execute(
                "INSERT INTO evidence (content, kind, hash, body, at) VALUES (?, 'packages', ?, ?, ?)",
                (f"sha256:{moved_to}", hashlib.sha256(own_body).digest(), own_body, at),
            )
    for night in range(nights):
        day = today - datetime.timedelta(days=nights - night)
        fresh = {old: ulid(day, made + place) for place, old in enumerate(ids)} | own
        pattern = re.compile("|".join(fresh))

        def moved(text):
            return text if text is None else day.date().isoformat() + text[10:]

        def renamed(text):
            return pattern.sub(lambda found: fresh[found[0]], text).replace(f'"{app}"', f'"{name}"')

        of, happened = kinds[night == 0 or (night + number) % RELEASES == 0]
        for identity, kind, _, opened, closed, cause, conclusion, _ in of:
            connection.execute(
                f"INSERT INTO streams ({STREAM}) VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (renamed(identity), kind, name, moved(opened), moved(closed), cause, conclusion),
            )
            connection.executemany(
                f"INSERT INTO events (stream, {EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(renamed(identity), seq, version, renamed(body), moved(at), term, kept) for seq, version, body, at, term, kept in events[identity]],
            )
            made += len(events[identity])
        for _, version, body, at, term, kept in happened:
            seen += 1
            connection.execute(
                f"INSERT INTO events (stream, {EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (stream, seen, version, renamed(body), moved(at), term, kept),
            )
        made += len(happened)
connection.execute("DELETE FROM newest WHERE app != ?", (app,))
connection.execute(
    "INSERT INTO newest (app, run, last) SELECT app, id, (SELECT body FROM events WHERE stream = id ORDER BY seq DESC LIMIT 1) "
    "FROM (SELECT app, id, max(opened) FROM streams WHERE kind = 'run' AND app != ? GROUP BY app)",
    (app,),
)
connection.execute("DELETE FROM ended WHERE app != ?", (app,))
connection.execute(
    "INSERT INTO ended (app, conclusion, runs, last) SELECT app, conclusion, count(*), max(closed) FROM streams "
    "WHERE kind = 'run' AND closed IS NOT NULL AND app != ? GROUP BY app, conclusion",
    (app,),
)
connection.commit()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print(f"{made} events of {apps} apps, {os.path.getsize(database) / 1e6:.0f} MB")
