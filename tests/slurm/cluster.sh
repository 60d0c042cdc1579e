#!/usr/bin/env bash
# A Slurm cluster of one node on loopback, for tests: Debian's packages, run as root.
#
#   cluster.sh up                start it, unless it runs; ACCOUNTING=1: with slurmdbd, so that sacct works
#   cluster.sh down              stop what `up` has started, by its pid files
#
# All its files lie in $DIMAT_SLURM, /tmp/dimat-slurm by default: a Slurm that is configured in /etc is neither used nor
# disturbed. Those who use it set SLURM_CONF=$DIMAT_SLURM/slurm.conf and put $DIMAT_SLURM/bin first in their PATH.
set -euo pipefail
ROOT=${DIMAT_SLURM:-/tmp/dimat-slurm}
HOST=$(hostname -s)
ACCOUNTING=${ACCOUNTING:-0}
export SLURM_CONF=$ROOT/slurm.conf

runs() { [ -s "$ROOT/$1.pid" ] && kill -0 "$(cat "$ROOT/$1.pid")" 2>/dev/null; }
wait_for() { for _ in $(seq 120); do "$@" >/dev/null 2>&1 && return; sleep 0.25; done; echo "no answer: $*" >&2; exit 1; }

stop() {
    runs "$1" || return 0
    local pid
    pid=$(cat "$ROOT/$1.pid")
    kill "$pid"
    for _ in $(seq 120); do kill -0 "$pid" 2>/dev/null || { rm -f "$ROOT/$1.pid"; return 0; }; sleep 0.25; done
    echo "$1 ($pid) does not stop" >&2
    return 1
}

install_packages() {
    local package missing=()
    for package in "$@"; do dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package"); done
    [ ${#missing[@]} = 0 ] && return
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$ROOT/apt.log" 2>&1 || { tail "$ROOT/apt.log" >&2; exit 1; }
}

configure() {
    local memory storage=none
    memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
    [ "$ACCOUNTING" = 1 ] && storage=slurmdbd
    # Made-up GPUs: devices like /dev/null, which Slurm shares out as it would real ones.
    for number in 0 1; do [ -c "$ROOT/nvidia$number" ] || mknod "$ROOT/nvidia$number" c 1 3; done
    echo "Name=gpu File=$ROOT/nvidia[0-1] Flags=nvidia_gpu_env" >"$ROOT/gres.conf"
    cat >"$SLURM_CONF.new" <<CONF
ClusterName=dimat
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
AuthInfo=socket=$ROOT/munge.socket
SlurmctldPort=26817
SlurmdPort=26818
SlurmctldPidFile=$ROOT/slurmctld.pid
SlurmdPidFile=$ROOT/slurmd.pid
SlurmctldLogFile=$ROOT/slurmctld.log
SlurmdLogFile=$ROOT/slurmd.log
StateSaveLocation=$ROOT/state
SlurmdSpoolDir=$ROOT/spool
AccountingStorageType=accounting_storage/$storage
AccountingStorageHost=localhost
AccountingStoragePort=26819
AccountingStoragePass=$ROOT/munge.socket
JobCompType=jobcomp/filetxt
JobCompLoc=$ROOT/jobs.txt
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=2
ReturnToService=2
KillWait=20
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
    if ! cmp -s "$SLURM_CONF.new" "$SLURM_CONF"; then
        stop slurmd && stop slurmctld
        mv "$SLURM_CONF.new" "$SLURM_CONF"
    fi
}

start_accounting() {
    mkdir -p "$ROOT/mysql"
    chown mysql: "$ROOT/mysql"
    [ -d "$ROOT/mysql/mysql" ] || mysql_install_db --user=mysql --datadir="$ROOT/mysql" >"$ROOT/mysql.log" 2>&1
    if ! runs mariadb; then
        setsid mariadbd --no-defaults --user=mysql --datadir="$ROOT/mysql" --bind-address=127.0.0.1 --port=26820 --skip-name-resolve \
            --socket="$ROOT/mysql/socket" \
            --pid-file="$ROOT/mysql/pid" >>"$ROOT/mysql.log" 2>&1 </dev/null &
        wait_for mysqladmin --no-defaults --socket="$ROOT/mysql/socket" ping
        cp "$ROOT/mysql/pid" "$ROOT/mariadb.pid"
    fi
    mysql --no-defaults --socket="$ROOT/mysql/socket" -e "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
        CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1'"
    cat >"$ROOT/slurmdbd.conf" <<CONF
DbdHost=localhost
DbdPort=26819
AuthInfo=socket=$ROOT/munge.socket
SlurmUser=root
LogFile=$ROOT/slurmdbd.log
PidFile=$ROOT/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=26820
StorageUser=slurm
StoragePass=slurm
CONF
    chmod 600 "$ROOT/slurmdbd.conf"
    runs slurmdbd || slurmdbd
    wait_for sacctmgr -n list cluster
    sacctmgr -i add cluster dimat >/dev/null || true # it is there already
    sacctmgr -i add account tests Cluster=dimat >/dev/null || true
    sacctmgr -i add user root Account=tests >/dev/null || true
}

up() {
    mkdir -p "$ROOT"/{bin,state,spool}
    install_packages slurmctld slurmd slurm-client munge
    [ "$ACCOUNTING" = 1 ] && install_packages slurmdbd mariadb-server
    chmod 755 "$ROOT"
    # Snakemake's plugin takes SLURM_CONF from what it starts by srun.
    printf '#!/bin/sh\nSLURM_CONF=%s exec /usr/bin/srun "$@"\n' "$SLURM_CONF" >"$ROOT/bin/srun"
    chmod +x "$ROOT/bin/srun"
    if ! runs munged; then
        mkdir -p "$ROOT/munge"
        [ -s "$ROOT/munge/key" ] || (umask 077 && head -c 128 /dev/urandom >"$ROOT/munge/key")
        munged --force --key-file="$ROOT/munge/key" --socket="$ROOT/munge.socket" --pid-file="$ROOT/munged.pid" \
            --log-file="$ROOT/munge/log" --seed-file="$ROOT/munge/seed"
    fi
    configure
    if [ "$ACCOUNTING" = 1 ]; then start_accounting; fi
    runs slurmctld || slurmctld
    wait_for scontrol ping
    runs slurmd || slurmd -N "$HOST"
    wait_for sh -c "sinfo -h -o %T | grep -E 'idle|mixed|allocated'"
    sinfo
}

down() {
    [ -e "$SLURM_CONF" ] || return 0
    if runs slurmctld; then
        scancel --user="$(id -un)" || true
        for _ in $(seq 40); do [ -z "$(squeue -h)" ] && break; sleep 0.5; done
    fi
    for daemon in slurmd slurmctld slurmdbd mariadb munged; do stop "$daemon"; done
}

case ${1:-} in
    up | down) "$1" ;;
    *) echo "usage: $0 up|down" >&2; exit 2 ;;
esac
