# shellcheck shell=bash
# Messages, quoting, locks, and the cache of built programs.

say() { printf 'services: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# given NAME succeeds if the environment sets GRISTMILL_TEST_NAME.
given() { local name=GRISTMILL_TEST_$1; [ -n "${!name:-}" ]; }

# quoted prints its argument as one shell word in single quotes.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# secret prints 32 random hexadecimal digits, which are safe in URLs and in all configuration files.
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# lock_checkout allows only one `up` or `down` of this checkout at a time. It locks the directory
# itself, so it leaves no file behind. Without flock (macOS) the caller must not run two at the same
# time.
lock_checkout() {
  command -v flock >/dev/null || return 0
  exec 9<"$root"
  flock -n 9 || { say 'waiting for another scripts/services of this checkout'; flock 9; }
}

# lock_cache allows only one process of this user to build into the cache at a time. It removes the
# work directories that it finds: a build that was killed left them.
lock_cache() {
  mkdir -p "$cache"
  exec 8<"$cache"
  if command -v flock >/dev/null && ! flock -n 8; then
    say 'waiting for another scripts/services to finish building'
    flock 8
  fi
  rm -rf -- "$cache"/work.*
}

unlock_cache() { exec 8<&-; }

# build_aside NAME FUNCTION fills $cache/NAME. FUNCTION builds into the directory that it is given,
# which is renamed to NAME when the build is complete, so a build that fails or is killed leaves
# nothing under NAME. FUNCTION runs under `set -e`, which bash ignores in a condition: call neither
# FUNCTION nor build_aside in one.
build_aside() {
  local name=$1 build=$2 work status started=$SECONDS
  [ ! -d "$cache/$name" ] || return 0
  lock_cache
  if [ ! -d "$cache/$name" ]; then # another process may have built it while this one waited
    work=$(mktemp -d "$cache/work.XXXXXX")
    mkdir "$work/tree"
    set +e
    (set -e && "$build" "$work/tree" "$work") >"$work/log" 2>&1 </dev/null
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
      say "building $name failed; the last lines of its output:"
      tail -n 40 "$work/log" >&2
      rm -rf -- "$work"
      exit 1
    fi
    mkdir -p "$(dirname "$cache/$name")"
    mv "$work/tree" "$cache/$name"
    rm -rf -- "$work"
    say "built $name in $((SECONDS - started)) s"
  fi
  unlock_cache
}
