-- The listening session is idle by design, and runs nothing that may take long.
SET idle_session_timeout = 0;
SET statement_timeout = 0;
