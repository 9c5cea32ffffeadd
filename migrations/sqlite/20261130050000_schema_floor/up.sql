-- The version before may run beside this: yes.
-- The newest step that a program must know to work with this schema, whatever steps came after it. A step beside which
-- the version before may not run puts its own version here.
CREATE TABLE schema_floor (
    version TEXT NOT NULL PRIMARY KEY
);
INSERT INTO schema_floor (version) VALUES ('20261130050000');
