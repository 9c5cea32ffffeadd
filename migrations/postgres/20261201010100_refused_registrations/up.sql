-- The version before may run beside this: yes.
-- When an issuer first said that it does not know a client that registered itself, and when that was found to be so: new
-- authorizations do not use it from then on.
ALTER TABLE provider_registration ADD COLUMN refused_at BIGINT;
ALTER TABLE provider_registration ADD COLUMN abandoned_at BIGINT;
