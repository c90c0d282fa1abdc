# shellcheck shell=bash
# Runs Redis. The program is the machine's, or else the distribution's package unpacked into the cache.

start_redis() {
  local program libraries
  find_or_unpack redis Redis redis-server usr/bin/redis-server
  redis_program=$program redis_libraries=$libraries
  redis_password=$(secret)
  as_server mkdir "$run/redis"
  start_on_free_port redis
  remember redis port redis_program redis_libraries redis_password
  GRISTMILL_TEST_REDIS_URL=redis://:$redis_password@127.0.0.1:$port/0
}

build_redis() {
  apt_update "$2/apt"
  apt_unpack "$1" redis-server redis-tools # the server is a link to a program in redis-tools
}

# run_redis starts Redis with noeviction, which the queue needs in production too, and with many
# databases, because each test leases one.
run_redis() {
  local append=no
  if [ "$durable" = yes ]; then append=yes; fi
  private_file "$run/redis.conf" <<CONF
bind 127.0.0.1
port $1
requirepass $redis_password
databases 1024
maxmemory-policy noeviction
save ""
appendonly $append
dir $run/redis
CONF
  LD_LIBRARY_PATH=$redis_libraries start redis "$redis_program" "$run/redis.conf"
}

redis_ready() {
  local answer=
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf 'AUTH %s\r\nPING\r\n' "$redis_password" >&3
    read -r -t 5 answer <&3 && [ "${answer%?}" = +OK ] && read -r -t 5 answer <&3 && [ "${answer%?}" = +PONG ]
  )
}
