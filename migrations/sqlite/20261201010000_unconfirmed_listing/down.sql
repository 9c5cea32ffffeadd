ALTER TABLE event_outbox DROP COLUMN managed_account_id;
ALTER TABLE upstream_session DROP COLUMN unconfirmed_listing;
