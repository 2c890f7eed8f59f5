#!/usr/bin/env bash
# Start a real SLURM of one machine: a controller, a node with made-up CPUs and GPUs, loopback only, no systemd, no database.
#
#   bash tests/slurm/up.sh FOLDER [CPUS=8] [GPUS=2]        as root; FOLDER keeps its state, logs and process ids
#   bash tests/slurm/down.sh FOLDER                        ends what this started, and nothing else
#
# Debian's slurm-wlm and munge are installed if they are missing. The configuration has to be /etc/slurm/slurm.conf, because the
# executor plugin strips every SLURM_ variable before it calls srun; a machine that has one already is left alone.
set -euo pipefail
folder=$(realpath -m "$1"); cpus=${2:-8}; gpus=${3:-2}; node=$(hostname -s)
here=$(dirname "$(realpath "$0")")

fail() { echo "tests/slurm/up.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "expected root, found $(id -un)"
if grep -qs "^# made by tests/slurm/up.sh$" /etc/slurm/slurm.conf; then  # the last one was killed, or still runs
  left=$(sed -n 's|^StateSaveLocation=\(.*\)/state$|\1|p' /etc/slurm/slurm.conf)
  ! pgrep -r D,R,S -x slurmctld >/dev/null || fail "expected no SLURM, found one that runs: bash tests/slurm/down.sh $left"
  bash "$here/down.sh" "$left"
fi
[ ! -e /etc/slurm/slurm.conf ] || fail "/etc/slurm/slurm.conf is there: this machine belongs to a cluster"

if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
  command -v apt-get >/dev/null || fail "expected slurmctld, slurmd and munged, or apt-get to install them"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

mkdir -p "$folder"/{state,spool,log,dev} /etc/slurm
if [ ! -s /etc/munge/munge.key ]; then
  dd if=/dev/urandom of=/etc/munge/munge.key bs=128 count=1 status=none
  chown munge: /etc/munge/munge.key
  chmod 400 /etc/munge/munge.key
fi
install -d -o munge -g munge -m 755 /run/munge
for ((i = 0; i < gpus; i++)); do  # null devices: SLURM counts them and hands out their numbers
  [ -e "$folder/dev/gpu$i" ] || mknod "$folder/dev/gpu$i" c 1 3
done

# config_overrides: a small machine may offer more CPUs than it has. OverMemoryKill, task=1: memory limits without cgroups.
# DefMemPerCPU: a job that names no memory would take the whole node. MinJobAge: squeue is asked about finished jobs.
cat > /etc/slurm/slurm.conf <<CONF
# made by tests/slurm/up.sh
ClusterName=glocalseg
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,requeue_delay=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
DefMemPerCPU=200
MinJobAge=3600
ReturnToService=2
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
KillWait=10
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$node NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=16000 Gres=gpu:$gpus State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
echo "AutoDetect=off" > /etc/slurm/gres.conf
[ "$gpus" = 0 ] || echo "Name=gpu File=$folder/dev/gpu[0-$((gpus - 1))]" >> /etc/slurm/gres.conf

undo() { bash "$here/down.sh" "$folder" || true; fail "SLURM did not come up; see $folder/log"; }
trap undo ERR
if ! pgrep -r D,R,S -x munged >/dev/null; then  # the socket of one that was killed stays
  rm -f /run/munge/munge.socket.2*
  runuser -u munge -- /usr/sbin/munged --pid-file=/run/munge/munged.pid
  cp /run/munge/munged.pid "$folder/munged.pid"
fi
slurmctld
slurmd -N "$node"
for _ in $(seq 120); do
  [ "$(sinfo -h -o %T 2>/dev/null)" != idle ] || { echo "SLURM is up: $cpus CPUs, $gpus GPUs, partition main"; exit 0; }
  sleep 0.25
done
undo
