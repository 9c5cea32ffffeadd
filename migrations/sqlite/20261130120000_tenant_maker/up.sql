-- The version before may run beside this: yes.
-- The client that made a tenant over the API, which alone deletes it there. NULL: the operator made it, or it is older.
ALTER TABLE tenant ADD COLUMN made_by TEXT;
