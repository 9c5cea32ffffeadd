DROP TABLE signing_key;
DROP TABLE upstream_session;
