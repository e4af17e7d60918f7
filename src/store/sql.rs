//! Every statement, in one place, with how often it is run: the test below looks at the plan of each of them.

/// How often a statement is run, and so what it may cost.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frequency {
    /// For each event, app, page or pass: it goes straight to its rows, whatever else the tables hold, and sorts nothing.
    Often,
    /// May read a whole set whose size depends on the fleet and on open work, but not on how long lowtide has run.
    Whole,
    /// By the hour, beside the writer: it may walk through an index.
    Hourly,
    /// By a person, or once a clock was wrong.
    Rarely,
}

macro_rules! statements {
    ($($(#[$doc:meta])* $frequency:ident $name:ident = $sql:expr;)+) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)+

        #[cfg(test)]
        const ALL: &[(&str, Frequency, &str)] = &[$((stringify!($name), Frequency::$frequency, $name),)+];
    };
}

statements! {
    Often INSERT_STREAM = "INSERT OR IGNORE INTO streams (id, kind, app, opened, cause) VALUES (?1, ?2, ?3, ?4, ?5)";
    Often CLOSE_STREAM = "UPDATE streams SET closed = ?2, conclusion = ?3 WHERE id = ?1";
    Often LAST_SEQ = "SELECT max(seq) FROM events WHERE stream = ?1";
    Often INSERT_EVENT = "INSERT INTO events (stream, seq, version, body, at, term, kept) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    Often EVENTS = "SELECT seq, body, at FROM events WHERE stream = ?1 ORDER BY seq";
    Often EVENTS_FROM = "SELECT seq, body, at FROM events WHERE stream = ?1 AND seq >= ?2 ORDER BY seq";
    Often FIRST_EVENT = "SELECT seq, body, at FROM events WHERE stream = ?1 ORDER BY seq LIMIT 1";
    Often LAST_EVENT = "SELECT seq, body, at FROM events WHERE stream = ?1 ORDER BY seq DESC LIMIT 1";
    Often INSERT_SNAPSHOT = "INSERT OR IGNORE INTO snapshots (stream, name) VALUES (?1, ?2)";
    Often COUNT_ENDED = "INSERT INTO ended (app, conclusion, runs, last) SELECT app, ?2, 1, ?3 FROM streams WHERE id = ?1 \
         ON CONFLICT (app, conclusion) DO UPDATE SET runs = runs + 1, last = max(last, excluded.last)";

    Often OPEN_STREAMS = "SELECT id, app, opened, closed, cause FROM streams WHERE closed IS NULL AND kind != 'app' \
         ORDER BY opened, id";
    Often STREAM = "SELECT id, app, opened, closed, cause FROM streams WHERE id = ?1";
    Often PUT_NEWEST = "INSERT INTO newest (app, run) VALUES (?1, ?2) \
         ON CONFLICT (app) DO UPDATE SET run = excluded.run, last = NULL";
    Often END_NEWEST = "UPDATE newest SET last = ?3 WHERE app = ?1 AND run = ?2";
    Often DELETE_NEWEST = "DELETE FROM newest WHERE app = (SELECT app FROM streams WHERE id = ?1) AND run = ?1";
    Whole NEWEST_RUNS = "SELECT id, streams.app, opened, closed, cause, last FROM newest JOIN streams ON id = run ORDER BY newest.app";
    Often RECENT_RUNS = "SELECT id, app, opened, closed, cause FROM streams WHERE kind = 'run' \
         ORDER BY opened DESC, id DESC LIMIT ?1";
    Often RECENT_RUNS_OF = "SELECT id, app, opened, closed, cause FROM streams WHERE app = ?1 AND kind = 'run' \
         ORDER BY opened DESC, id DESC LIMIT ?2";
    Often RECENT_ROLLOUTS_OF = "SELECT id, app, opened, closed, cause FROM streams WHERE app = ?1 AND kind = 'rollout' \
         ORDER BY opened DESC, id DESC LIMIT ?2";
    Often RUN_LENGTHS = "SELECT opened, closed FROM streams WHERE app = ?1 AND kind = 'run' \
         ORDER BY opened DESC, id DESC LIMIT ?2";
    Often CLOSED_SINCE = "SELECT id, app, opened, closed, cause FROM streams WHERE closed >= ?1 ORDER BY closed DESC";
    Rarely STREAMS_ENDING = "SELECT id, app, opened, closed, cause FROM streams WHERE kind IN ('run', 'rollout') \
         AND id LIKE ?1 ORDER BY opened DESC LIMIT ?2";
    Whole APP_STREAMS = "SELECT id, app, coalesce(checkpoint, 1) FROM streams WHERE id >= 'app/' AND id < 'app0' ORDER BY id";
    Whole ENDED = "SELECT app, conclusion, runs, last FROM ended ORDER BY app, conclusion";

    Often SET_CHECKPOINT = "UPDATE streams SET checkpoint = ?2 WHERE id = ?1";
    Often CHECKPOINT = "SELECT coalesce(checkpoint, 1) FROM streams WHERE id = ?1";
    Often TRIM_APP = "DELETE FROM events WHERE stream = ?1 \
         AND seq < (SELECT coalesce(checkpoint, 1) FROM streams WHERE id = ?1) AND (kept = 'checkpoint' OR at < ?2)";
    Often TRIMS_APP = "SELECT 1 FROM events WHERE stream = ?1 \
         AND seq < (SELECT coalesce(checkpoint, 1) FROM streams WHERE id = ?1) AND (kept = 'checkpoint' OR at < ?2) LIMIT 1";
    Often TRIMS_AUDIT = "SELECT 1 FROM audit WHERE at < ?1 LIMIT 1";
    Often INSERT_AUDIT = "INSERT INTO audit (app, seq, at, body) VALUES (?1, ?2, ?3, ?4)";
    Often AUDIT = "SELECT seq, body, at, app FROM audit WHERE at >= ?1 AND app IS NOT NULL ORDER BY at";
    Often FLEET_AUDIT = "SELECT seq, body, at FROM audit WHERE at >= ?1 AND app IS NULL ORDER BY at";
    Often DELETE_AUDIT = "DELETE FROM audit WHERE at < ?1";
    Often CLOSED_BEFORE = "SELECT id FROM streams WHERE closed < ?1 ORDER BY closed";
    Often DISCOUNT_ENDED = "UPDATE ended SET runs = runs - 1 WHERE (app, conclusion) = \
         (SELECT app, conclusion FROM streams WHERE id = ?1)";
    Often DELETE_EVENTS = "DELETE FROM events WHERE stream = ?1";
    Often DELETE_SNAPSHOTS = "DELETE FROM snapshots WHERE stream = ?1";
    Often DELETE_STREAM = "DELETE FROM streams WHERE id = ?1";
    Whole DELETE_ENDED = "DELETE FROM ended WHERE runs <= 0";
    Hourly SNAPSHOTS = "SELECT name FROM snapshots";

    Often ENQUEUE = "INSERT OR IGNORE INTO outbox (dedup, thread, body, created, state, next) \
         VALUES (?1, ?2, ?3, ?4, 'pending', ?4)";
    Whole PENDING = "SELECT body, attempts, next FROM outbox WHERE state != 'delivered' AND state = 'pending' \
         ORDER BY created, dedup";
    Often FIRST_OF_THREAD = "SELECT dedup FROM outbox WHERE state = 'pending' AND thread = ?1 ORDER BY created, dedup LIMIT 1";
    Often DELIVERED = "UPDATE outbox SET state = 'delivered', delivered = ?2, error = NULL WHERE dedup = ?1";
    Often DELIVER_LATER = "UPDATE outbox SET attempts = attempts + 1, next = ?2, error = ?3 WHERE dedup = ?1";
    Often DEAD = "UPDATE outbox SET state = 'dead', attempts = attempts + 1, error = ?2 WHERE dedup = ?1";
    Whole UNDELIVERED = "SELECT dedup, coalesce(error, '') FROM outbox WHERE state != 'delivered' \
         AND (state = 'dead' OR attempts > 2) ORDER BY created, dedup LIMIT 50";
    Whole COUNT_PENDING = "SELECT count(*) FROM outbox WHERE state != 'delivered' AND state = 'pending'";
    Often OLD_NOTICES = "SELECT count(*) FROM outbox WHERE state != 'delivered' AND state = 'pending' AND created < ?1";
    Often DELETE_NOTICES = "DELETE FROM outbox WHERE created < ?1";

    Often PUT_EVIDENCE = "INSERT INTO evidence (content, kind, hash, body, pieces, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    Often EVIDENCE = "SELECT body, pieces FROM evidence WHERE content = ?1 AND kind = ?2";
    Often EVIDENCE_HASH = "SELECT hash FROM evidence WHERE content = ?1 AND kind = ?2";
    Often OLD_EVIDENCE = "SELECT content FROM evidence WHERE at < ?1";
    Often DELETE_EVIDENCE = "DELETE FROM evidence WHERE content = ?1 AND at < ?2 RETURNING pieces";
    Often DELETE_ONE_EVIDENCE = "DELETE FROM evidence WHERE content = ?1 AND kind = ?2 RETURNING pieces";
    Often USE_PIECE = "INSERT INTO pieces (hash, uses) VALUES (?1, 1) \
         ON CONFLICT (hash) DO UPDATE SET uses = uses + 1 RETURNING id, uses";
    Often RELEASE_PIECE = "UPDATE pieces SET uses = uses - 1 WHERE id = ?1 RETURNING uses";
    Often DELETE_PIECE = "DELETE FROM pieces WHERE id = ?1";
    Often PUT_PIECE_BODY = "INSERT INTO piece_bodies (piece, body) VALUES (?1, ?2)";
    Often PIECE_BODY = "SELECT body FROM piece_bodies WHERE piece = ?1";
    Often DELETE_PIECE_BODY = "DELETE FROM piece_bodies WHERE piece = ?1";

    Often PUT_REVISION = "INSERT INTO revisions (id, body, at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, body = excluded.body";
    Whole DELETE_REVISIONS = "DELETE FROM revisions WHERE id != ?1";
    Often REVISION = "SELECT body FROM revisions WHERE id = ?1";
    Whole LAST_REVISION = "SELECT id, body FROM revisions ORDER BY at DESC LIMIT 1";

    Often PUT_PUSHED_TAG = "INSERT OR IGNORE INTO pushed_tags (app, repository, run, tag, digest) VALUES (?1, ?2, ?3, ?4, ?5)";
    Often COPY_PUSHED_TAG = "INSERT OR IGNORE INTO pushed_tags (app, repository, run, tag, digest) \
         SELECT app, ?2, run, tag, digest FROM pushed_tags WHERE app = ?1 AND run = ?3 AND digest = ?4 LIMIT 1";
    Often DELETE_PUSHED_TAG = "DELETE FROM pushed_tags WHERE app = ?1 AND repository = ?2 AND tag = ?3";
    Whole PUSHED_TAGS = "SELECT app, repository, run, tag, digest FROM pushed_tags ORDER BY app, repository, run";
    Hourly FORGET_PUSHED_TAGS = "DELETE FROM pushed_tags WHERE (app, repository, run) IN (SELECT app, repository, run FROM \
         (SELECT app, repository, run, row_number() OVER (PARTITION BY app, repository ORDER BY run DESC) AS nth FROM pushed_tags) \
         WHERE nth > ?1)";

    Often META = "SELECT value FROM meta WHERE key = ?1";
    Often PUT_META = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    Often RAISE_META = "INSERT INTO meta (key, value) VALUES (?1, ?2) \
         ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)";
    Often DELETE_META = "DELETE FROM meta WHERE key = ?1";

    Often SURVEY = "SELECT body, sum FROM surveys WHERE key = ?1";
    Often PUT_SURVEY = "REPLACE INTO surveys (key, body, sum) VALUES (?1, ?2, ?3)";
    /// A row that is replaced gets the highest id, so the lowest are the oldest.
    Often DROP_SURVEYS = "DELETE FROM surveys WHERE id <= (SELECT max(id) FROM surveys) - ?1";

    Rarely FUTURE_EVENTS = "UPDATE events SET at = ?1 WHERE at > ?2";
    Rarely FUTURE_AUDIT = "UPDATE audit SET at = ?1 WHERE at > ?2";
    Rarely FUTURE_OPENED = "UPDATE streams SET opened = ?1 WHERE opened > ?2";
    Rarely FUTURE_CLOSED = "UPDATE streams SET closed = ?1 WHERE closed > ?2";
    Rarely FUTURE_ENDED = "UPDATE ended SET last = ?1 WHERE last > ?2";
    Often FUTURE_CREATED = "UPDATE outbox SET created = ?1 WHERE created > ?2";
    Rarely FUTURE_DELIVERED = "UPDATE outbox SET delivered = ?1 WHERE delivered > ?2";
    Whole FUTURE_NEXT = "UPDATE outbox SET next = ?1 WHERE state != 'delivered' AND next > ?2";
    Often FUTURE_EVIDENCE = "UPDATE evidence SET at = ?1 WHERE at > ?2";
    Often FUTURE_REVISIONS = "UPDATE revisions SET at = ?1 WHERE at > ?2";
    /// Only the timestamps among the marks. A requested silence may end in the future.
    Whole FUTURE_MARKS = "UPDATE meta SET value = ?1 WHERE value > ?2 AND key >= 'mark/' AND key < 'mark0' \
         AND key NOT LIKE 'mark/%-silent'";
    Whole FUTURE_SILENCE = "UPDATE meta SET value = ?1 WHERE key >= 'mark/' AND key < 'mark0' AND key LIKE 'mark/%-silent' \
         AND value > ?2";
}

#[cfg(test)]
mod tests;
