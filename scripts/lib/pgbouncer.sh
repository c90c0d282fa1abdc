# shellcheck shell=bash
# Runs PgBouncer in front of PostgreSQL, in transaction mode and with fewer server connections than
# its clients have, for tests that use a connection pooler. The program is the machine's, or else
# the distribution's package unpacked into the cache.

start_pgbouncer() {
  local program libraries userinfo
  find_or_unpack pgbouncer PgBouncer pgbouncer usr/sbin/pgbouncer
  pgbouncer_program=$program pgbouncer_libraries=$libraries
  parse_url "$GRISTMILL_TEST_POSTGRES_URL" 5432
  pgbouncer_host=$host pgbouncer_port=$port
  userinfo=${GRISTMILL_TEST_POSTGRES_URL#*://}
  userinfo=${userinfo%%@*}
  pgbouncer_user=${userinfo%%:*}
  private_file "$run/pgbouncer.users" <<<"\"$pgbouncer_user\" \"${userinfo#*:}\""
  start_on_free_port pgbouncer
  remember pgbouncer port pgbouncer_program pgbouncer_libraries pgbouncer_host pgbouncer_port pgbouncer_user
  # shellcheck disable=SC2034 # record reads it by name
  GRISTMILL_TEST_PGBOUNCER=127.0.0.1:$port
}

build_pgbouncer() {
  apt_update "$2/apt"
  apt_unpack "$1" pgbouncer
}

# run_pgbouncer serves every database and every role of the server. PgBouncer looks up a role's
# secret as the superuser, so roles that tests create work immediately.
run_pgbouncer() {
  private_file "$run/pgbouncer.ini" <<CONF
[databases]
* = host=$pgbouncer_host port=$pgbouncer_port auth_user=$pgbouncer_user
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $1
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $run/pgbouncer.users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
CONF
  LD_LIBRARY_PATH=$pgbouncer_libraries start pgbouncer "$pgbouncer_program" "$run/pgbouncer.ini"
}

pgbouncer_ready() { answers postgres "postgres://127.0.0.1:$1"; }
