ALTER TABLE tenant DROP COLUMN made_by;
