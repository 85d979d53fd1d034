-- Reading the catalogue is what makes the server notice tables that another session just made; the
-- name alone would be looked up in a cache that an advisory lock does not renew.
SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass($1))
