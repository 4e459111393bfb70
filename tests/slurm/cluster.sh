# A SLURM cluster of this one machine in a folder of its own: start_cluster DIR, later stop_cluster.
# Two partitions share the cores: jobs of "urgent" preempt those of "batch", which are requeued.
# Needs root and Debian's slurm-wlm and munge; writes nothing outside DIR.

can_start_cluster() {
  [ "$(id -u)" = 0 ] && command -v munged slurmctld slurmd sbatch srun >/dev/null
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

configuration() {
  local host
  host=$(hostname -s)
  cat <<EOF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$cluster/munge/socket
CredType=cred/munge
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$cluster/slurmctld.log
SlurmdLogFile=$cluster/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=60
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=batch Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=60 State=UP
PartitionName=urgent Nodes=$host PriorityTier=9 PreemptMode=OFF State=UP
EOF
}

start_cluster() {
  cluster=$1
  mkdir -p "$cluster"/{munge,state,spool}
  chmod 700 "$cluster/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$cluster/munge/key")
  export SLURM_CONF=$cluster/slurm.conf
  configuration >"$SLURM_CONF"
  munged --force --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" \
    --log-file="$cluster/munge.log" --pid-file="$cluster/munged.pid" --seed-file="$cluster/munge/seed"
  slurmctld -f "$SLURM_CONF"
  slurmd -f "$SLURM_CONF"
  for _ in $(seq 150); do
    sinfo -h -p batch -t idle -o %D 2>/dev/null | grep -q 1 && return 0
    sleep 0.2
  done
  echo "the cluster did not come up:" >&2
  tail -n 5 "$cluster"/*.log >&2
  return 1
}

stop_cluster() {
  scancel --user=root 2>/dev/null || true
  local daemon pid
  for daemon in slurmd slurmctld munged; do
    pid=$(cat "$cluster/$daemon.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || true
    timeout 20 tail --pid="$pid" -f /dev/null || true  # until it has ended
  done
}
