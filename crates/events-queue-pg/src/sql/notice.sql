-- While it works for a client that is gone the server notices that.
SELECT set_config('client_connection_check_interval', $1, false)
