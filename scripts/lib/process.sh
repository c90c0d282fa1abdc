# shellcheck shell=bash
# Creates the private run directory, and starts and stops servers in it.

# server_user prints the user that servers run as when root calls this script: PostgreSQL refuses to
# run as root, and the other servers do not need root.
server_user() {
  local user
  for user in postgres nobody; do
    if id "$user" >/dev/null 2>&1; then
      echo "$user"
      return
    fi
  done
  die 'called as root, but neither user postgres nor user nobody exists to run PostgreSQL'
}

# as_server runs a command as that user. If the caller is not root, the command runs as the caller.
as_server() {
  local user
  if [ "$(id -u)" -ne 0 ]; then
    "$@"
    return
  fi
  user=$(server_user)
  if command -v setpriv >/dev/null; then
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
  elif command -v runuser >/dev/null; then
    runuser -u "$user" -- "$@"
  else
    # shellcheck disable=SC2016 # the inner shell expands it
    su -s /bin/sh "$user" -c 'exec "$0" "$@"' -- "$@"
  fi
}

# make_run_directory creates the private directory. It is outside the checkout, because the servers'
# user must be able to reach it, and a checkout is often below a directory that only its owner can
# enter.
make_run_directory() {
  local base
  for base in "${TMPDIR:-/tmp}" /tmp; do
    run=$(mktemp -d "$base/gristmill-services.XXXXXX")
    if [ "$(id -u)" -eq 0 ]; then chown "$(server_user)" "$run"; fi
    if as_server test -w "$run" 2>/dev/null; then break; fi
    rmdir "$run"
    run=
  done
  [ -n "$run" ] || die "the servers' user can write neither below ${TMPDIR:-/tmp} nor below /tmp"
  echo "$run" >"$state/run"
  echo "$durable" >"$run/durable"
}

# find_run_directory sets run from the pointer file. `down` removes that directory later, so its
# name and content must look like ours. Because `up` also calls this from its EXIT trap, every
# return states its status: a bare `return` would return the status with which the trap was entered.
find_run_directory() {
  [ -f "$state/run" ] || return 1
  run=$(cat "$state/run")
  case $run in
    */gristmill-services.??????) if [ -f "$run/durable" ]; then return 0; fi ;;
  esac
  run=
  return 1
}

# pid_of NAME prints the process id of a running server. Because another process may have the id in
# the file meanwhile, the process must have its working directory in the private directory.
pid_of() {
  local pid
  pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
  case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
    "$run" | "$run"/*) echo "$pid" ;;
    *) return 1 ;;
  esac
}

# start NAME COMMAND… starts a server in its own session, so that Ctrl-C at the terminal ends the
# tests but not the servers. The intermediate shell writes its own pid, then becomes the server. The
# server inherits neither the caller's environment, which may contain settings for another server of
# the same kind, nor the locks.
start() {
  local name=$1
  shift
  # shellcheck disable=SC2016 # the inner shell expands it
  as_server setsid env -i PATH="$PATH" HOME="$run" LANG=C.UTF-8 LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" \
    sh -c 'cd "$1" && echo $$ >"$2.pid" && shift 2 && exec "$@"' sh "$run" "$name" "$@" \
    >"$run/$name.log" 2>&1 </dev/null 8<&- 9<&- &
}

# private_file PATH writes standard input to a file that only the servers' user can read, because it
# contains a password.
private_file() {
  # shellcheck disable=SC2016 # the inner shell expands it
  as_server sh -c 'umask 077 && cat >"$1"' sh "$1"
}

# start_on_free_port NAME starts a server and sets port. run_NAME PORT prepares and starts it;
# NAME_ready PORT checks that it answers. If the port is in use by then, another one is tried.
start_on_free_port() {
  local name=$1 try
  for try in 1 2 3; do
    port=$(free_port)
    launch "$name"
    if becomes_ready "$name"; then
      say "$name answers on 127.0.0.1:$port"
      return
    fi
    if [ "$try" -eq 3 ] || ! grep -qi 'in use' "$run/$name.log"; then break; fi
  done
  die_not_ready "$name"
}

# remember NAME VARIABLE… saves the variables that run_NAME and NAME_ready read, for start_again.
remember() {
  local name=$1
  shift
  (umask 077 && declare -p "$@" >"$run/$name.again")
}

# start_again NAME starts a stopped server on its port and with its data. Does nothing if it is
# running.
start_again() {
  local name=$1
  if pid_of "$name" >/dev/null; then return; fi
  # shellcheck source=/dev/null
  . "$run/$name.again"
  launch "$name"
  becomes_ready "$name" || die_not_ready "$name"
}

launch() {
  rm -f "$run/$1.pid"
  "run_$1" "$port"
}

# becomes_ready NAME waits until the server answers. Fails if the server ends, or after one minute.
becomes_ready() {
  local name=$1 deadline=$((SECONDS + 60))
  while ! "${name}_ready" "$port" >"$run/$name.ready" 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    # Without a pid file, the intermediate shell has not run yet.
    [ ! -s "$run/$name.pid" ] || pid_of "$name" >/dev/null || return 1
    sleep 0.05
  done
  # Another server may be the one that answers on this port.
  pid_of "$name" >/dev/null && "${name}_ready" "$port" >/dev/null 2>&1
}

die_not_ready() {
  say "$1 did not start; the output of its last readiness check, and the last lines of its log:"
  tail -n 5 "$run/$1.ready" >&2
  tail -n 30 "$run/$1.log" >&2
  exit 1
}

# stop NAME [SIGNAL…] sends TERM, QUIT and KILL until the server ends, waiting up to 10 s after
# each, or the given signals instead. It signals only a process that this script started.
stop() {
  local name=$1 signal pid deadline
  shift
  [ $# -gt 0 ] || set -- TERM QUIT KILL
  for signal; do
    pid=$(pid_of "$name") || return 0
    # PostgreSQL takes TERM as "wait until all clients disconnect", and INT as "shut down cleanly
    # now".
    if [ "$name-$signal" = postgres-TERM ]; then signal=INT; fi
    kill "-$signal" "$pid" 2>/dev/null || true
    deadline=$((SECONDS + 10))
    while pid_of "$name" >/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.05; done
  done
}

# crash NAME ends a server without letting it finish anything. PostgreSQL gets QUIT first: it has
# several processes, and QUIT ends all of them.
crash() {
  case $1 in
    postgres) stop "$1" QUIT KILL ;;
    *) stop "$1" KILL ;;
  esac
}
