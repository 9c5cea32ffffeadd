ALTER TABLE oauth_atp_request DROP COLUMN asked_again;
