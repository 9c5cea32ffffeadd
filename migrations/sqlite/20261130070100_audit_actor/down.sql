UPDATE audit_event SET actor = 'person' WHERE actor = 'user';
UPDATE schema_floor SET version = '20261130070000';
