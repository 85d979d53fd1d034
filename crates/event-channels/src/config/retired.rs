//! Option keys of SQLSpec that have no place here, and what to write instead.

const SQL_FILES: &str = "`events migrate export DIR` writes the SQL, to be changed and run by your own migration tool with auto_migrate = false";
const ROW_LOCKS: &str =
    "remove it: how rows are claimed is fixed for each database, and safe in each";
const NO_DATABASE: &str = "remove it: that database is not served";
const RETENTION: &str =
    "retention_seconds says when acknowledged events go, on a schedule; 0 deletes on ack";
const MIGRATIONS: &str = "auto_migrate says whether opening creates or updates the tables";
const URL: &str = "url says where the database is, such as url = \"sqlite:app.db\"";

const RETIRED: &[(&str, &str)] = &[
    ("manage_schema", MIGRATIONS),
    ("create_schema", MIGRATIONS),
    ("run_migrations", MIGRATIONS),
    ("include_extensions", MIGRATIONS),
    ("exclude_extensions", MIGRATIONS),
    ("script_location", SQL_FILES),
    ("migrations_path", SQL_FILES),
    ("json_storage", SQL_FILES),
    ("compression", SQL_FILES),
    ("partitioning", SQL_FILES),
    ("table_options", SQL_FILES),
    ("fillfactor", SQL_FILES),
    ("autovacuum_vacuum_scale_factor", SQL_FILES),
    ("autovacuum_analyze_scale_factor", SQL_FILES),
    ("cleanup_on_ack", RETENTION),
    ("select_for_update", ROW_LOCKS),
    ("skip_locked", ROW_LOCKS),
    (
        "pragma_profile",
        "remove it: the pragmas are set and checked when the database is opened",
    ),
    (
        "pragma_overrides",
        "remove it: the pragmas are set and checked when the database is opened; durability and ack_durability choose among them",
    ),
    ("shard_count", NO_DATABASE),
    ("use_run_in_transaction", NO_DATABASE),
    ("partition_expiration_days", NO_DATABASE),
    ("require_partition_filter", NO_DATABASE),
    ("database", URL),
    ("dsn", URL),
];

/// What to do instead, if the key is one of them.
pub(super) fn way_out(key: &str) -> Option<&'static str> {
    RETIRED
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, way_out)| *way_out)
}

#[cfg(test)]
mod tests {
    use super::super::{OPTIONS, keys};
    use super::*;

    #[test]
    fn each_names_what_to_write_instead() {
        for (key, way_out) in RETIRED {
            let named = OPTIONS.iter().any(|option| way_out.contains(option.key));
            assert!(
                named || way_out.starts_with("remove it"),
                "{key}: {way_out}"
            );
            assert!(!OPTIONS.iter().any(|option| option.key == *key), "{key}");
            let error = keys::unknown(key).to_string();
            assert!(error.contains(key) && error.contains(way_out), "{error}");
        }
    }
}
