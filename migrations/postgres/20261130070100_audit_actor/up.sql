-- The version before may run beside this: no.
-- The actor of an audit event is called `user`, as users are everywhere else. The version before cannot read that name.
UPDATE schema_floor SET version = '20261130070100';
UPDATE audit_event SET actor = 'user' WHERE actor = 'person';
