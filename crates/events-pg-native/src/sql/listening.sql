-- How many channels this session listens to; what the heartbeat expects to be unchanged.
SELECT count(*)
FROM pg_listening_channels()
