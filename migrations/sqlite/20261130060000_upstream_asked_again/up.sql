-- Whether the user was sent to the PDS a second time, because it required interaction that the first request had ruled out.
ALTER TABLE oauth_atp_request ADD COLUMN asked_again BOOLEAN NOT NULL DEFAULT 0;
