-- The version before may run beside this: yes.
-- The tools of MCP servers that a client may call, by provider, as JSON; all of a provider that is not among them.
ALTER TABLE oauth_client ADD COLUMN mcp_tools TEXT NOT NULL DEFAULT '{}';
