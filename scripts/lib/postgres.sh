# shellcheck shell=bash
# Runs PostgreSQL with pgvector: a private cluster, from a private copy of the programs. The copy is
# needed because PostgreSQL before 18 finds extensions only below its own directories, and this
# script must not write to the machine's. Debian's programs find their libraries and data relative
# to themselves, so a copy of the tree works anywhere.

pgvector_min_version=0.8.0 # older versions lack halfvec (0.7) or iterative scans (0.8); production needs 0.8.4, which not all Debian releases have

start_postgres() {
  local key version bin
  bin=$(installed_postgres) || bin=
  # The key contains the version of the machine's PostgreSQL. The number at its end is the version
  # of this recipe.
  # shellcheck source=/dev/null
  key=$(. /etc/os-release && echo "$ID${VERSION_ID:-}-$(uname -m)")
  version=packaged
  if [ -n "$bin" ]; then version=$("$bin/postgres" --version | awk '{ print $3 }'); fi
  key=postgres-$version-$key-1
  [ -d "$cache/$key" ] || say 'preparing PostgreSQL and pgvector (once)'
  build_aside "$key" build_postgres
  cp -R "$cache/$key" "$run/postgres-programs"
  pg_bin=$(echo "$run"/postgres-programs/usr/lib/postgresql/*/bin)
  pg_libraries=$(library_path "$run/postgres-programs")
  pg_password=$(secret)
  initialise_cluster
  start_on_free_port postgres
  remember postgres port pg_bin pg_libraries pg_password
  GRISTMILL_TEST_POSTGRES_URL=$(postgres_url "$port")
}

postgres_url() { echo "postgres://postgres:$pg_password@127.0.0.1:$1/postgres?sslmode=disable"; }

# with_libraries runs a program of the private copy.
with_libraries() { LD_LIBRARY_PATH=$pg_libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"; }

initialise_cluster() {
  private_file "$run/password" <<<"$pg_password"
  with_libraries as_server "$pg_bin/initdb" --pgdata="$run/postgres" --username=postgres --pwfile="$run/password" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions >"$run/initdb.log" 2>&1 || {
    say 'initdb failed:'
    tail -n 20 "$run/initdb.log" >&2
    exit 1
  }
  rm -f "$run/password"
}

# run_postgres starts the cluster. Without fsync, data is lost only when the machine crashes, and
# then the tests end too. A killed server loses nothing that it has acknowledged, because
# synchronous_commit stays on.
run_postgres() {
  local sync=off cache=256MB
  if [ "$durable" = yes ]; then sync=on cache=${GRISTMILL_SERVICES_CACHE:-1GB}; fi # as in compose.yaml, because benchmarks measure it
  # The last setting of a name wins, so another try or another start may append the settings again.
  as_server tee -a "$run/postgres/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = ''
max_connections = 300
shared_buffers = '$cache'
maintenance_work_mem = '256MB'
max_wal_size = '4GB'
fsync = $sync
full_page_writes = $sync
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %d '
CONF
  with_libraries start postgres "$pg_bin/postgres" -D "$run/postgres"
}

# postgres_ready logs in, creates the extension and rolls back. Each test has a new database and
# creates the extension in it.
postgres_ready() {
  PGCONNECT_TIMEOUT=5 with_libraries "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 "$(postgres_url "$1")" \
    -c 'begin; create extension vector; rollback'
}

# installed_postgres prints the program directory of the newest PostgreSQL on the machine. Fails if
# there is none.
installed_postgres() {
  local newest
  newest=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)
  [ -x "$newest" ] && [ -x "${newest%/*}/initdb" ] && [ -x "${newest%/*}/psql" ] && echo "${newest%/*}"
}

# build_postgres TREE WORK fills TREE with PostgreSQL and pgvector in Debian's layout, without the
# parts that no test uses.
build_postgres() {
  local tree=$1 work=$2 bin major
  apt_update "$work/apt"
  if bin=$(installed_postgres); then
    major=$(basename "$(dirname "$bin")")
    mkdir -p "$tree/usr/lib/postgresql" "$tree/usr/share/postgresql"
    cp -R "/usr/lib/postgresql/$major" "$tree/usr/lib/postgresql/"
    cp -R "/usr/share/postgresql/$major" "$tree/usr/share/postgresql/"
  else
    # The package "postgresql" depends on the major version of this release.
    major=$(apt_in apt-cache depends postgresql | sed -n 's/^ *Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
    [ -n "$major" ] || { echo "the machine's apt sources have no package postgresql"; return 1; }
    apt_unpack "$tree" "postgresql-$major" "postgresql-client-$major"
  fi
  add_pgvector "$tree" "$work" "$major"
  rm -rf "$tree"/usr/lib/postgresql/*/lib/{bitcode,pgxs,llvmjit*} "$tree"/usr/{include,share/doc,share/man,share/locale,share/perl5}
}

# add_pgvector uses the release's package if it is new enough. Otherwise it builds Debian's source
# of a newer release.
add_pgvector() {
  local tree=$1 work=$2 major=$3 version
  version=$(apt_version "postgresql-$major-pgvector") || version=0
  if dpkg --compare-versions "$version" ge "$pgvector_min_version"; then
    apt_unpack_alone "$tree" "postgresql-$major-pgvector"
    return
  fi
  install_tools gcc make
  mkdir "$work/pgvector"
  apt_source_of_newer_release pgvector "$work/pgvector"
  tar -xf "$work"/pgvector/pgvector_*.orig.tar.* -C "$work/pgvector" --strip-components=1
  apt_unpack_alone "$tree" "postgresql-server-dev-$major"
  # pg_config prints directories of the private tree, so the extension is installed there. JIT is
  # off, so no bitcode is built. -march=native, pgvector's default, is off because a cache may move
  # to another machine; pgvector's Docker image is built without it too.
  pg_libraries=$(library_path "$tree") with_libraries make -C "$work/pgvector" -j2 OPTFLAGS='' with_llvm=no \
    PG_CONFIG="$tree/usr/lib/postgresql/$major/bin/pg_config" all install
}
