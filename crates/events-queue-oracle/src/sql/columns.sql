/* events.table.columns */
-- The columns of a table or view that this user may see; none when there is no such.
SELECT column_name
  FROM all_tab_columns
 WHERE owner = COALESCE(:owner, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) AND table_name = :table_name
