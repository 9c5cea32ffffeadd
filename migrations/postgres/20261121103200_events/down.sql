DROP TABLE event_outbox;
DROP TABLE event_subscription;
