-- The columns of tables, by their number in the list; none where there is no such. In one statement,
-- so that a migration that commits meanwhile is seen whole or not at all.
SELECT wanted.nr, a.attname::text
  FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, nr)
  JOIN pg_attribute AS a ON a.attrelid = to_regclass(wanted.name)
 WHERE a.attnum > 0 AND NOT a.attisdropped
 ORDER BY wanted.nr, a.attnum
