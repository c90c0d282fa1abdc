# shellcheck shell=bash
# Uses Debian and Ubuntu packages without installing them. apt works in private directories, so it
# needs no root, starts no service and does not change the machine's lists, locks and packages. It
# uses the machine's own sources, keys and proxies. List-Cleanup is off, because the sources of a
# newer release are read into the same directory.

apt_directory=

apt_in() {
  local command=$1
  shift
  "$command" -q -o Dir::State::Lists="$apt_directory/lists" -o Dir::Cache="$apt_directory/cache" \
    -o APT::Get::List-Cleanup=false -o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@"
}

# apt_update DIRECTORY reads the package lists of the machine's sources into DIRECTORY. An error of
# a source is not fatal, because the source may not be needed. If it is needed, the package is not
# found later, and the log has both messages.
apt_update() {
  apt_directory=$1
  mkdir -p "$apt_directory/lists/partial" "$apt_directory/cache/archives/partial"
  apt_in apt-get update || echo 'apt-get update reported errors; continuing'
}

# apt_version PACKAGE prints the version that the machine's sources offer. Fails if they offer none.
apt_version() {
  apt_in apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2; found = 1 } END { exit !found }'
}

# find_or_unpack NAME TITLE COMMAND PATH sets program, and libraries for LD_LIBRARY_PATH. If the
# machine has COMMAND, program is that, and libraries is empty. Otherwise program is PATH in a
# private copy of what build_NAME unpacks into the cache.
find_or_unpack() {
  local name=$1 title=$2 command=$3 path=$4 key
  libraries=
  if program=$(command -v "$command"); then return; fi
  # shellcheck source=/dev/null
  key=$name-$(. /etc/os-release && echo "$ID${VERSION_ID:-}-$(uname -m)")-1
  [ -d "$cache/$key" ] || say "preparing $title (once)"
  build_aside "$key" "build_$name"
  cp -R "$cache/$key" "$run/$name-programs"
  program=$run/$name-programs/$path
  libraries=$(library_path "$run/$name-programs")
}

# apt_unpack TREE PACKAGE… unpacks the packages and their dependencies into TREE, except those that
# are installed on the machine. libllvm is skipped: only PostgreSQL's JIT needs it, which the tests
# switch off, and it is larger than all the rest.
apt_unpack() {
  local tree=$1 missing
  shift
  # "Inst NAME (…" is a new package; "Inst NAME [old version] (…" is an update of an installed one.
  missing=$(apt_in apt-get --simulate --no-install-recommends install "$@" |
    awk '$1 == "Inst" && $3 !~ /^\[/ && $2 !~ /^libllvm/ { print $2 }')
  # shellcheck disable=SC2046,SC2086 # package names contain no spaces
  apt_unpack_alone "$tree" $(printf '%s\n' "$@" $missing | sort -u)
}

# apt_unpack_alone TREE PACKAGE… unpacks these packages without their dependencies.
apt_unpack_alone() {
  local tree=$1 file
  shift
  rm -rf "$apt_directory/debs"
  mkdir "$apt_directory/debs"
  (cd "$apt_directory/debs" && apt_in apt-get download "$@")
  for file in "$apt_directory"/debs/*.deb; do
    dpkg -x "$file" "$tree"
  done
}

# apt_source_of_newer_release PACKAGE DIRECTORY downloads the source of PACKAGE from a newer
# release, in the archive that this machine's release comes from. apt verifies it: the archive's key
# signs the release, which has checksums of the index, which has checksums of the files.
apt_source_of_newer_release() {
  local package=$1 directory=$2 archive release id codename keyring components=main
  # shellcheck source=/dev/null
  id=$(. /etc/os-release && echo "$ID")
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # The machine's sources may name the release by its codename or by an alias such as "stable".
  # Security and updates are separate releases.
  # shellcheck disable=SC2016
  archive=$(apt_in apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$codename" '$4 == "main" && ($2 == codename || $3 == codename) { print $1; exit }')
  [ -n "$archive" ] || { echo "the machine's apt sources do not list an archive of $codename/main"; return 1; }
  if [ "$id" = ubuntu ]; then components='main universe'; fi
  keyring=/usr/share/keyrings/$id-archive-keyring.gpg
  for release in $(newer_releases "$id"); do
    {
      printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: %s\n' "$archive" "$release" "$components"
      if [ -f "$keyring" ]; then echo "Signed-By: $keyring"; fi
    } >"$apt_directory/newer.sources"
    if (
      newer=(-o Dir::Etc::SourceList="$apt_directory/newer.sources" -o Dir::Etc::SourceParts=/dev/null)
      cd "$directory" &&
        apt_in apt-get "${newer[@]}" update && apt_in apt-get "${newer[@]}" --download-only source "$package"
    ); then
      return
    fi
  done
  return 1
}

# newer_releases prints the releases to search for sources, stable ones first.
newer_releases() {
  case $1 in
    ubuntu) echo 'resolute devel' ;;
    *) echo 'trixie stable testing unstable' ;;
  esac
}

# library_path TREE prints the directories of TREE that contain shared libraries, in the form of
# LD_LIBRARY_PATH.
library_path() {
  local directory path=
  for directory in "$1"/usr/lib/*-linux-gnu* "$1"/lib/*-linux-gnu*; do
    [ ! -d "$directory" ] || path=$path${path:+:}$directory
  done
  echo "$path"
}

# install_tools COMMAND… makes sure that a compiler is installed. It is installed, not unpacked,
# because it does not run from another directory, starts no service, and is needed for `go test
# -race` anyway.
install_tools() {
  local command missing=
  for command in "$@"; do
    command -v "$command" >/dev/null || missing="$missing $command"
  done
  [ -n "$missing" ] || return 0
  [ "$(id -u)" -eq 0 ] || { echo "missing$missing: as root, run apt-get install gcc libc6-dev make"; return 1; }
  DEBIAN_FRONTEND=noninteractive apt-get -q -o Dir::State::Lists="$apt_directory/lists" -o Dir::Cache="$apt_directory/cache" \
    install -y --no-install-recommends gcc libc6-dev make
}
