# shellcheck shell=bash
# Runs MinIO, which its makers now distribute only as source (a Go module).

minio_version=v0.0.0-20260212201848-7aac2a2c5b7c # the Dockerfile builds the same

start_minio() {
  local key
  key=minio-$minio_version-$(uname -m)
  [ -d "$cache/$key" ] || say 'building MinIO (once, about three minutes)'
  build_aside "$key" build_minio
  # A hard link takes no space; it fails across file systems.
  ln "$cache/$key/minio" "$run/minio-program" 2>/dev/null || cp "$cache/$key/minio" "$run/minio-program"
  minio_user=$(secret) minio_password=$(secret)
  as_server mkdir "$run/minio" "$run/minio-certs"
  start_on_free_port minio
  remember minio port minio_user minio_password
  GRISTMILL_TEST_S3_ENDPOINT=http://127.0.0.1:$port
  GRISTMILL_TEST_S3_ACCESS_KEY=$minio_user
  GRISTMILL_TEST_S3_SECRET_KEY=$minio_password
}

build_minio() {
  command -v go >/dev/null || { echo 'Go is not on PATH; it is needed to build MinIO'; return 1; }
  # Runs outside this module and sets GOBIN only for this command, so that nothing else changes.
  (cd "$2" && CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=$1 go install -ldflags '-s -w' "github.com/minio/minio@$minio_version")
}

run_minio() {
  private_file "$run/minio.env" <<CONF
MINIO_ROOT_USER=$minio_user
MINIO_ROOT_PASSWORD=$minio_password
MINIO_BROWSER=off
MINIO_UPDATE=off
CONF
  start minio env MINIO_CONFIG_ENV_FILE="$run/minio.env" \
    "$run/minio-program" server --address "127.0.0.1:$1" --certs-dir "$run/minio-certs" "$run/minio"
}

minio_ready() {
  local answer=
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf 'GET /minio/health/ready HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
    read -r -t 5 answer <&3 && [[ $answer == *' 200 '* ]]
  )
}
