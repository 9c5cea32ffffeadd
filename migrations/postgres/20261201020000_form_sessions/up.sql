-- The version before may run beside this: yes.
-- Seconds without use after which a session at a site ends by itself.
ALTER TABLE upstream_session ADD COLUMN idle_seconds BIGINT;
CREATE INDEX idx_upstream_session_idle ON upstream_session ((last_used_at + idle_seconds))
    WHERE idle_seconds IS NOT NULL AND state <> 'ended';
-- Further connections that a connect session made and its code confirms: a list in JSON, of the connection and the
-- unconfirmed connection each.
ALTER TABLE connect_session ADD COLUMN more_connections TEXT;
