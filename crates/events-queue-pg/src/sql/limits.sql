-- Work that nobody waits for any more ends, and a transaction whose client is gone gives up its locks.
SELECT set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)
