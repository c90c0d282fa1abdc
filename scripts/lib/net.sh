# shellcheck shell=bash
# Talks to servers with bash alone (/dev/tcp), because no client program is sure to be installed.

# parse_url URL PORT sets host and port from URL; PORT is the default port.
parse_url() {
  local pattern='^[A-Za-z][A-Za-z0-9+.-]*://([^@/]*@)?(\[[^]]*\]|[^:/?#]+)(:([0-9]+))?'
  host='' port=''
  [[ $1 =~ $pattern ]] || return 1
  host=${BASH_REMATCH[2]} port=${BASH_REMATCH[4]:-$2}
  host=${host#[} host=${host%]}
}

# answers KIND URL succeeds if a server of that kind answers in its protocol at URL. It does not log
# in.
answers() {
  local kind=$1 url=$2 default
  case $kind in
    postgres) default=5432 ;;
    redis) default=6379 ;;
    *) case $url in https:*) default=443 ;; *) default=80 ;; esac ;;
  esac
  parse_url "$url" "$default" || return 1
  (speaks "$kind" "$url") 2>/dev/null
}

# speaks KIND URL opens a connection and checks the first bytes of the answer. For TLS it only
# connects.
speaks() {
  local first=''
  exec 3<>"/dev/tcp/$host/$port" || return 1
  case $1-$2 in
    postgres-*) # SSLRequest, which PostgreSQL answers with one letter
      printf '\0\0\0\010\004\322\026\057' >&3
      IFS= read -r -t 5 -n 1 first <&3 || return 1
      [[ $first == [SN] ]] ;;
    redis-redis:*) # PONG, or an error that asks for a password
      printf 'PING\r\n' >&3
      IFS= read -r -t 5 -n 1 first <&3 || return 1
      [[ $first == [+-] ]] ;;
    s3-http:*)
      printf 'GET / HTTP/1.0\r\nHost: %s\r\n\r\n' "$host:$port" >&3
      IFS= read -r -t 5 -n 5 first <&3 || return 1
      [[ $first == HTTP/ ]] ;;
  esac
}

# free_port prints a port on which nothing listens. The port is below the range that Linux uses for
# outgoing connections, so only another server can take it before ours does; in that case
# start_on_free_port tries another port.
free_port() {
  local try candidate
  for try in {1..100}; do
    candidate=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  die "no free port found in $try tries"
}
