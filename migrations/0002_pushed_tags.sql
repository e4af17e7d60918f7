-- Immutable tags of releases that lowtide pushed: what retention may remove from registries.
CREATE TABLE pushed_tags (
    app        TEXT NOT NULL,
    repository TEXT NOT NULL,
    run        TEXT NOT NULL,              -- of the release; sorts by time
    tag        TEXT NOT NULL,
    digest     TEXT NOT NULL,
    PRIMARY KEY (app, repository, run)
) STRICT, WITHOUT ROWID;
