"""journal.py DATABASE APP APPS EVENTS: fills lowtide's database with the past of APPS apps, app-1 and so on, EVENTS events in all.

Their runs and rollouts are copies of what APP's really were, with ids, names and days of their own: always of the shape that
this version writes. lowtide must not run meanwhile."""

import datetime
import os
import re
import sqlite3
import sys

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(day, number):
    value = (int(day.timestamp() * 1000) << 80) | (number << 40) | int.from_bytes(os.urandom(5), "big")
    return "".join(ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


database, app, apps, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
connection = sqlite3.connect(database)
streams = connection.execute("SELECT id, kind, app, opened, closed FROM streams WHERE app = ?", (app,)).fetchall()
events = {
    row[0]: connection.execute(
        "SELECT seq, version, body, at, term FROM events WHERE stream = ? ORDER BY seq", (row[0],)
    ).fetchall()
    for row in streams
}
ids = [row[0].split("/", 1)[1] for row in streams if row[1] != "app"]
each = sum(len(list_) for list_ in events.values())
nights = -(-wanted // (apps * each))
today = datetime.datetime.now(datetime.timezone.utc)
made = 0
for number in range(1, apps + 1):
    name = f"app-{number}"
    seen = 0
    for night in range(nights):
        day = today - datetime.timedelta(days=nights - night)
        fresh = {old: ulid(day, made + place) for place, old in enumerate(ids)}

        def moved(text):
            return text if text is None else day.date().isoformat() + text[10:]

        def renamed(text):
            for old, new in fresh.items():
                text = text.replace(old, new)
            return text.replace(f'"{app}"', f'"{name}"')

        for identity, kind, _, opened, closed in streams:
            stream = f"app/{name}" if kind == "app" else renamed(identity)
            connection.execute(
                "INSERT OR IGNORE INTO streams (id, kind, app, opened, closed) VALUES (?, ?, ?, ?, ?)",
                (stream, kind, name, moved(opened), moved(closed)),
            )
            base = seen if kind == "app" else 0
            connection.executemany(
                "INSERT INTO events (stream, seq, version, body, at, term) VALUES (?, ?, ?, ?, ?, ?)",
                [(stream, base + seq, version, renamed(body), moved(at), term) for seq, version, body, at, term in events[identity]],
            )
            made += len(events[identity])
            if kind == "app":
                seen += len(events[identity])
connection.commit()
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print(f"{made} events of {apps} apps, {os.path.getsize(database) / 1e6:.0f} MB")
