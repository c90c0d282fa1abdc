# shellcheck shell=bash
# Talking to servers with bash alone (/dev/tcp), because no client program can be counted on.

# parse_url sets host and port from a URL; the second argument is the port for a URL that names none.
parse_url() {
  local pattern='^[A-Za-z][A-Za-z0-9+.-]*://([^@/]*@)?(\[[^]]*\]|[^:/?#]+)(:([0-9]+))?'
  host='' port=''
  [[ $1 =~ $pattern ]] || return 1
  host=${BASH_REMATCH[2]} port=${BASH_REMATCH[4]:-$2}
  host=${host#[} host=${host%]}
}

# answers KIND URL says whether a server of that kind speaks its protocol there. It does not log in.
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

# speaks opens a connection and looks at the first bytes of the answer. TLS servers are only connected to.
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

# free_port prints a port that nothing listens on. It is below the range from which Linux gives out the ports of outgoing
# connections, so that only another server can take it before ours does; start_on_free_port tries again then.
free_port() {
  local try candidate
  for try in {1..100}; do
    candidate=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  die "no free port in $try tries"
}
