-- Sessions whose refreshes are refused definitely: the latest refusal, and since when. The next success deletes the
-- row.
CREATE TABLE refresh_refusal (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES upstream_session (session_id) ON DELETE CASCADE,
    answer TEXT NOT NULL,
    since INTEGER NOT NULL
);
