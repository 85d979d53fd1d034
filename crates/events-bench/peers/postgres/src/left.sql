SELECT count(*) FROM rival._private_jobs
