# shellcheck shell=bash
# Words, locks, and the cache that is only ever whole.

say() { printf 'services: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# given NAME says whether the environment gives GRISTMILL_TEST_NAME.
given() { local name=GRISTMILL_TEST_$1; [ -n "${!name:-}" ]; }

# quoted prints its argument as one shell word in single quotes.
quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# secret prints 32 random hexadecimal digits: safe in a URL and in every configuration file.
secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# lock_checkout lets one `up` or `down` of this checkout run at a time. The lock is on the directory itself, so it leaves no file;
# where there is no flock (macOS) two at once are the caller's affair.
lock_checkout() {
  command -v flock >/dev/null || return 0
  exec 9<"$root"
  flock 9
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
# complete. A build that fails or is killed leaves nothing under NAME. It prints nothing; use "$cache/NAME" afterwards.
build_aside() {
  local name=$1 build=$2 work
  [ ! -d "$cache/$name" ] || return 0
  lock_cache
  if [ ! -d "$cache/$name" ]; then # another process may have built it while this one waited
    work=$(mktemp -d "$cache/work.XXXXXX")
    mkdir "$work/tree"
    if ! "$build" "$work/tree" "$work" >"$work/log" 2>&1; then
      say "building $name failed; the end of its output:"
      tail -n 40 "$work/log" >&2
      rm -rf -- "$work"
      exit 1
    fi
    mkdir -p "$(dirname "$cache/$name")"
    mv "$work/tree" "$cache/$name"
    rm -rf -- "$work"
  fi
  unlock_cache
}
