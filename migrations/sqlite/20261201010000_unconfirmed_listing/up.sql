-- The version before may run beside this: yes.
-- The accounts that an authorization listed, until its connection is confirmed: they change nothing of a live one before.
ALTER TABLE upstream_session ADD COLUMN unconfirmed_listing TEXT;
-- Events name the managed account that they are about.
ALTER TABLE event_outbox ADD COLUMN managed_account_id TEXT;
