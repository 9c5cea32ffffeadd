-- Whether the user was sent to the PDS once more, because it wanted to show them something that we had not asked for.
ALTER TABLE oauth_atp_request ADD COLUMN asked_again BOOLEAN NOT NULL DEFAULT 0;
