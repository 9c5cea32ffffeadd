-- The version before may run beside this: yes.
-- The newest migration that a program must know to work with this schema, regardless of later ones. A migration that
-- the previous version cannot run beside stores its own version here.
CREATE TABLE schema_floor (
    version TEXT NOT NULL PRIMARY KEY
);
INSERT INTO schema_floor (version) VALUES ('20261130050000');
