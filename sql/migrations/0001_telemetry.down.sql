DROP TABLE telemetry;
DROP TABLE driver_notifications, live_session, ingest_batches, sessions;
