-- The version before may run beside this: yes.
-- The unconfirmed connection that a connect code confirms. It differs from the connection that the client sees where an
-- existing one is connected again.
ALTER TABLE connect_session ADD COLUMN unconfirmed_id TEXT;
-- Connections that live of one grant: a provider may end all of them by one revocation.
CREATE INDEX idx_upstream_session_subject ON upstream_session (provider, subject, session_id)
    WHERE subject IS NOT NULL AND ended_at IS NULL;
