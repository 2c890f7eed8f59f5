#!/usr/bin/env bash
# End the SLURM that up.sh started in FOLDER, by process id, and take its configuration away. Jobs that still run end with it.
set -u
folder=$(realpath -m "$1")

stop() {  # the process whose id a file holds, if it is still that program
  local pid
  pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] || return 0
  kill "$pid"
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -KILL "$pid"
}

if grep -qs "^StateSaveLocation=$folder/state$" /etc/slurm/slurm.conf; then
  if pgrep -r D,R,S -x slurmctld >/dev/null; then  # without one, squeue asks for minutes
    squeue -h -o %A 2>/dev/null | xargs -r scancel 2>/dev/null
    for _ in $(seq 60); do [ -n "$(squeue -h 2>/dev/null)" ] || break; sleep 0.5; done
  fi
  stop slurmd; stop slurmctld; stop munged
  # A configuration without a controller would slow every start of Snakemake down by ten seconds.
  rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
fi
