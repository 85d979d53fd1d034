-- Who migrates: owns the tables and everything that belongs to them. Run as an administrator,
-- then migrate as this role. Programs that publish or consume need not, and should not, be it.
CREATE ROLE events_owner NOLOGIN;
DO $$
BEGIN
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO events_owner', current_schema());
END
$$;
