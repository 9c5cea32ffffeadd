ALTER TABLE provider_registration DROP COLUMN abandoned_at;
ALTER TABLE provider_registration DROP COLUMN refused_at;
