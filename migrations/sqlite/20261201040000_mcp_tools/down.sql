ALTER TABLE oauth_client DROP COLUMN mcp_tools;
