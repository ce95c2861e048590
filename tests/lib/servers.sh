# Real servers for tests, on free loopback ports of their own, with their data in a directory of their own.
# Source it in bash with `set -euo pipefail`. What was started is ended when the script ends, and the data removed.
#
#   start_redis NAME [OPTION VALUE]...           exports REDIS_PORT REDIS_URL
#   start_kafka NAME [4.1|3.9]                   exports KAFKA_PORT KAFKA_BROKER (and makes no topics)
#   start_postgres NAME                          exports POSTGRES_PORT POSTGRES_URL, with an empty database
#   stop_KIND, kill_KIND, restart_KIND NAME      KIND: redis, kafka, postgres
#   abort_postgres NAME                          PostgreSQL's "immediate" shutdown: connections are cut, nothing is finished
#   pause_server NAME, resume_server NAME        SIGSTOP and SIGCONT: it is there and does not answer
#   server_port NAME, server_log NAME            print the port, the log file
#   free_port                                    prints a port that nobody uses
#   wait_for SECONDS WHAT COMMAND...             until the command succeeds; else an error that names WHAT
#   stop_servers                                 end all of them now; runs by itself on exit
#
# A stop is orderly, a kill is a crash (kill -9), a restart has the same port and the same data. A script with an EXIT
# trap of its own calls stop_servers there.

servers_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# A short path: a socket's may have no more than 107 characters. Open to the account that PostgreSQL runs as.
servers_dir=$(mktemp -d "/tmp/cartwright-servers.XXXXXX")
chmod 711 "$servers_dir"
declare -A server_kind=() server_ports=() server_pids=() server_options=()

servers_error() { echo "servers: $*" >&2; return 1; }

server_port() { echo "${server_ports[$1]}"; }
server_log() { [ "${server_kind[$1]}" = kafka ] && echo "$servers_dir/$1/broker.log" || echo "$servers_dir/$1/log"; }

server_alive() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }

server_listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

# Below the range that the kernel takes from for outgoing connections: a port stays ours while its server is down.
free_port() {
  local port tries
  for ((tries = 0; tries < 200; tries++)); do
    port=$((10000 + (RANDOM * 32768 + RANDOM) % 22000))
    # Kafka takes the next one too.
    server_listening "$port" || server_listening $((port + 1)) || { echo "$port"; return 0; }
  done
  servers_error "no free port found"
}

wait_for() {
  local limit=$1 what=$2 until
  shift 2
  until=$((SECONDS + limit))
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || { servers_error "not in $limit s: $what"; return 1; }
    sleep 0.1
  done
}

# Waits until the server answers; when it does not, or ends instead, its log says why.
server_wait_up() {
  local name=$1 until=$((SECONDS + $2))
  shift 2
  until "$@" > /dev/null 2>&1; do
    if ! server_alive "${server_pids[$name]}" || [ "$SECONDS" -ge "$until" ]; then
      tail -n 30 "$(server_log "$name")" >&2
      servers_error "$name did not start"
      return 1
    fi
    sleep 0.05
  done
}

server_wait_down() {
  local pid=$1 limit=$2 tick
  for ((tick = 0; tick < limit * 20; tick++)); do
    server_alive "$pid" || break
    sleep 0.05
  done
  if server_alive "$pid"; then kill -9 "$pid" 2> /dev/null || true; fi
  wait "$pid" 2> /dev/null || true
}

server_new() {
  local kind=$1 name=$2
  [[ $name =~ ^[a-z0-9_-]+$ ]] || servers_error "'$name' is no name for a server" || return 1
  [ -z "${server_kind[$name]:-}" ] || servers_error "there is a server $name already" || return 1
  server_ports[$name]=$(free_port) || return 1
  server_kind[$name]=$kind
  server_pids[$name]=
  mkdir -p "$servers_dir/$name"
}

server_signal() {
  local name=$1 signal=$2
  [ -n "${server_pids[$name]:-}" ] || servers_error "$name does not run" || return 1
  kill "-$signal" "${server_pids[$name]}"
}

pause_server() { server_signal "$1" STOP; }
resume_server() { server_signal "$1" CONT; }

# SIGNAL, then wait. A server that was paused would not notice a signal to end.
server_end() {
  local name=$1 signal=$2 pid=${server_pids[$1]:-}
  [ -n "$pid" ] || return 0
  kill "-$signal" "$pid" 2> /dev/null || true
  kill -CONT "$pid" 2> /dev/null || true
  server_wait_down "$pid" 30
  server_pids[$name]=
}

# --- Redis ---

start_redis() {
  local name=$1
  shift
  server_new redis "$name" || return 1
  local options=()
  while [ $# -ge 2 ]; do options+=("--$1" "$2"); shift 2; done
  server_options[$name]="${options[*]}"
  restart_redis "$name"
}

restart_redis() {
  local name=$1 port=${server_ports[$1]} options
  stop_redis "$name"
  read -ra options <<< "${server_options[$name]}"
  setsid redis-server --bind 127.0.0.1 --port "$port" --dir "$servers_dir/$name" --save '' --daemonize no \
    "${options[@]}" >> "$(server_log "$name")" 2>&1 < /dev/null &
  server_pids[$name]=$!
  disown   # or bash announces each kill
  server_wait_up "$name" 20 redis_answers "$port" || return 1
  export REDIS_PORT=$port REDIS_URL=redis://127.0.0.1:$port
}

redis_answers() { timeout 2 redis-cli -h 127.0.0.1 -p "$1" ping | grep -qx PONG; }

stop_redis() { server_end "$1" TERM; }
kill_redis() { server_end "$1" KILL; }

# --- Kafka ---

start_kafka() {
  local name=$1 version=${2:-4.1}
  server_new kafka "$name" || return 1
  server_options[$name]=$("$servers_root/config/kafka/broker" jars "$version") || return 1
  restart_kafka "$name"
}

restart_kafka() {
  local name=$1 port=${server_ports[$1]} data=$servers_dir/$1
  stop_kafka "$name"
  "$servers_root/config/kafka/broker" start "${server_options[$name]}" "$data" "$port" || return 1
  server_pids[$name]=$(cat "$data/pid")
  export KAFKA_PORT=$port KAFKA_BROKER=127.0.0.1:$port
}

stop_kafka() { server_end "$1" TERM; }
kill_kafka() { server_end "$1" KILL; }

# --- PostgreSQL ---

# It refuses to run as root, so root runs it as the account that its package makes.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid postgres --regid postgres --init-groups -- "$@"
  else
    "$@"
  fi
}

postgres_bin() {
  local found
  found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1) || true
  [ -n "$found" ] || servers_error "PostgreSQL is not installed; app/setup test installs it" || return 1
  dirname "$found"
}

start_postgres() {
  local name=$1 bin port home
  server_new postgres "$name" || return 1
  bin=$(postgres_bin) || return 1
  home=$servers_dir/$name port=${server_ports[$name]}
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$home"
  (cd "$home" && as_postgres "$bin/initdb" -D "$home/data" -U cartwright -A trust -E UTF8 --locale=C.UTF-8 -N) \
    > "$servers_dir/$name.initdb" 2>&1 || { cat "$servers_dir/$name.initdb" >&2; return 1; }
  restart_postgres "$name" || return 1
  "$bin/createdb" -h 127.0.0.1 -p "$port" -U cartwright cartwright
}

restart_postgres() {
  local name=$1 home=$servers_dir/$1 port=${server_ports[$1]} bin
  stop_postgres "$name"
  bin=$(postgres_bin) || return 1
  (
    cd "$home" || exit 1
    if [ "$(id -u)" = 0 ]; then
      exec setsid setpriv --reuid postgres --regid postgres --init-groups -- "$bin/postgres" "${postgres_options[@]}" \
        -D "$home/data" -k "$home" -p "$port"
    fi
    exec setsid "$bin/postgres" "${postgres_options[@]}" -D "$home/data" -k "$home" -p "$port"
  ) >> "$(server_log "$name")" 2>&1 < /dev/null &
  server_pids[$name]=$!
  disown   # or bash announces each kill
  server_wait_up "$name" 60 "$bin/psql" -h 127.0.0.1 -p "$port" -U cartwright -d postgres -qtAc 'select 1' || return 1
  export POSTGRES_PORT=$port POSTGRES_URL=postgresql://cartwright@127.0.0.1:$port/cartwright
}

postgres_options=(-c listen_addresses=127.0.0.1 -c fsync=on -c synchronous_commit=on -c max_connections=100)

stop_postgres() { server_end "$1" INT; }   # does not wait for clients to go away by themselves

abort_postgres() { server_end "$1" QUIT; }

# With the postmaster alone killed, its children would hold the data a while longer and a restart would be refused.
kill_postgres() {
  local pid=${server_pids[$1]:-} children child
  [ -n "$pid" ] || return 0
  kill -STOP "$pid" 2> /dev/null || true
  read -ra children < "/proc/$pid/task/$pid/children" || true
  for child in "${children[@]}"; do kill -9 "$child" 2> /dev/null || true; done
  server_end "$1" KILL
}

# --- all of them ---

stop_servers() {
  local name pid
  # All at once, then wait for each: an orderly Kafka takes two seconds.
  for name in "${!server_pids[@]}"; do
    pid=${server_pids[$name]}
    [ -n "$pid" ] || continue
    kill "-$([ "${server_kind[$name]}" = postgres ] && echo INT || echo TERM)" "$pid" 2> /dev/null || true
    kill -CONT "$pid" 2> /dev/null || true
  done
  for name in "${!server_pids[@]}"; do
    pid=${server_pids[$name]}
    [ -z "$pid" ] || server_wait_down "$pid" 15
    server_pids[$name]=
  done
  [ -n "${CARTWRIGHT_KEEP_SERVER_DATA:-}" ] || rm -rf "$servers_dir"
}

trap stop_servers EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
