-- Pending back-channel logout notices. A row outlives its session and its client.
CREATE TABLE logout_notice (
    session_id TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    uri TEXT NOT NULL,
    alg TEXT NOT NULL,
    did TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX idx_logout_notice_expires_at ON logout_notice (expires_at);
CREATE INDEX idx_logout_notice_due_at ON logout_notice (due_at);
