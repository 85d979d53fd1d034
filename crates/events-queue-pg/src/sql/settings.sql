-- Plans must not depend on how large a table was when they were made: a queue that was empty then
-- may hold a million events before its statistics are renewed. Every statement has an index to use.
-- And what a statement sees must not depend on a default of the database.
SELECT set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false),
       set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),
       set_config('enable_sort', 'off', false), set_config('jit', 'off', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('default_transaction_isolation', 'read committed', false)
