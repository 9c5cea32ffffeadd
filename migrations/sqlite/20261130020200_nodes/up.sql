-- The servers on this database. `seen_at` is the last heartbeat by the clock of the database. The refresh lease of a
-- session is void when its holder begins with the name of a node that is no longer here.
CREATE TABLE node (
    node_id TEXT NOT NULL PRIMARY KEY,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
);
