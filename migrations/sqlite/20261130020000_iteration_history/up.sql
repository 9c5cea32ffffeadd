-- Sessions with iterations that the sweep may have to delete, and when it checks them next.
CREATE TABLE iteration_history (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES upstream_session (session_id) ON DELETE CASCADE,
    due_at INTEGER NOT NULL
);
CREATE INDEX idx_iteration_history_due_at ON iteration_history (due_at);
INSERT INTO iteration_history (session_id, due_at)
    SELECT session_id, created_at FROM upstream_session WHERE iteration > 100;
