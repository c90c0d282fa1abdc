# shellcheck shell=bash
# Words, locks, and the cache that is only ever whole.

say() { printf 'services: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# given NAME says whether the environment gives GRISTMILL_TEST_NAME.
given() { local name=GRISTMILL_TEST_$1; [ -n "${!name:-}" ]; }

# quoted prints its argument as one shell word in single quotes.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# secret prints 32 random hexadecimal digits: safe in a URL and in every configuration file.
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# lock_checkout lets one `up` or `down` of this checkout run at a time. The lock is on the directory itself, so it leaves no file;
# where there is no flock (macOS) two at once are the caller's affair.
lock_checkout() {
  command -v flock >/dev/null || return 0
  exec 9<"$root"
  flock -n 9 || { say 'waiting for another scripts/services of this checkout'; flock 9; }
}

# lock_cache lets one process of this user build into the cache at a time. Work directories found under the lock were left by a
# build that was killed.
lock_cache() {
  mkdir -p "$cache"
  exec 8<"$cache"
  if command -v flock >/dev/null && ! flock -n 8; then
    say 'waiting for another scripts/services that is building'
    flock 8
  fi
  rm -rf -- "$cache"/work.*
}

unlock_cache() { exec 8<&-; }

# build_aside NAME FUNCTION fills $cache/NAME: FUNCTION builds into the directory it is given, which gets its name when it is
# complete. A build that fails or is killed leaves nothing under NAME. FUNCTION runs under `set -e`, which bash leaves out of
# whatever is part of a condition: so neither it nor this function may be called in one.
build_aside() {
  local name=$1 build=$2 work status began=$SECONDS
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
      say "building $name failed; the end of its output:"
      tail -n 40 "$work/log" >&2
      rm -rf -- "$work"
      exit 1
    fi
    mkdir -p "$(dirname "$cache/$name")"
    mv "$work/tree" "$cache/$name"
    rm -rf -- "$work"
    say "built $name in $((SECONDS - began)) s"
  fi
  unlock_cache
}
