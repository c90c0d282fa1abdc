# shellcheck shell=bash
# Runs the servers in containers, from the same compose.yaml as production, with their ports
# published on loopback.

docker_usable() {
  [ "${GRISTMILL_SERVICES_DOCKER:-}" != no ] && command -v docker >/dev/null &&
    docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1
}

# compose runs docker compose in a subshell that exports the variables of this run. compose prefers
# the environment to any file, so variables of the same names that the caller exports have no
# effect.
compose() (
  set -a
  # shellcheck source=/dev/null
  . "$run/docker.env"
  docker compose --project-name "$(cat "$run/docker")" \
    -f "$root/compose.yaml" -f "$root/scripts/compose.services.yaml" "$@"
)

# docker_up SERVER… starts the named services of compose.yaml with secrets created for this run. The
# project name is derived from the run directory, which is unique, so two checkouts never use the
# same project.
docker_up() {
  local pg_password redis_password minio_user minio_password sync=off append=no
  pg_password=$(secret) redis_password=$(secret) minio_user=$(secret) minio_password=$(secret)
  if [ "$durable" = yes ]; then sync=on append=yes; fi
  basename "$run" | tr 'A-Z.' 'a-z-' >"$run/docker"
  # .env.example comes first: compose requires every variable in compose.yaml, also those of
  # services that are not started here.
  (
    umask 077
    cat "$root/.env.example" - >"$run/docker.env" <<ENV
POSTGRES_PASSWORD=$pg_password
REDIS_PASSWORD=$redis_password
MINIO_ROOT_USER=$minio_user
MINIO_ROOT_PASSWORD=$minio_password
OWNER_PASSWORD=unused
DATABASE_PASSWORD=unused
INDEX_PASSWORD=unused
S3_SECRET_KEY=unused
GRISTMILL_API_KEY=unused
SERVICES_FSYNC=$sync
SERVICES_APPENDONLY=$append
SERVICES_POSTGRES_PORT=$(free_port)
SERVICES_REDIS_PORT=$(free_port)
SERVICES_MINIO_PORT=$(free_port)
ENV
  )
  say "starting $* in containers"
  if ! compose up --detach --wait --wait-timeout 600 "$@" >&2; then
    say 'a container did not become healthy; the last lines of the logs:'
    compose logs --tail 30 >&2
    exit 1
  fi
  local server
  # shellcheck disable=SC2034 # record reads them by name
  for server in "$@"; do
    case $server in
      postgres) GRISTMILL_TEST_POSTGRES_URL="postgres://postgres:$pg_password@$(compose port postgres 5432)/postgres?sslmode=disable" ;;
      redis) GRISTMILL_TEST_REDIS_URL=redis://:$redis_password@$(compose port redis 6379)/0 ;;
      minio)
        GRISTMILL_TEST_S3_ENDPOINT=http://$(compose port minio 9000)
        GRISTMILL_TEST_S3_ACCESS_KEY=$minio_user
        GRISTMILL_TEST_S3_SECRET_KEY=$minio_password
        ;;
    esac
  done
}

docker_down() {
  say 'removing the containers'
  compose down --volumes --remove-orphans --timeout 10 >&2
}

# docker_apply stop|crash|start_again SERVER does to a container what the function of that name does
# to a process.
docker_apply() {
  case $1 in
    stop) compose stop --timeout 10 "$2" >&2 ;;
    crash) compose kill "$2" >&2 ;;
    start_again) compose up --detach --no-recreate --no-deps --wait --wait-timeout 60 "$2" >&2 ;;
  esac
}
