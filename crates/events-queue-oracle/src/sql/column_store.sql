/* events.table.column_store */
-- Whether a table is in the column store as `in_memory` wants it; one row if so.
SELECT table_name
  FROM all_tables
 WHERE owner = COALESCE(:owner, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) AND table_name = :table_name
   AND inmemory = 'ENABLED' AND inmemory_priority = 'HIGH'
