#!/bin/bash
# Eight hosts of eight GPUs train one detector: sbatch examples/cluster/slurm.sh
# Two minutes before its end the job gets SIGTERM, saves, and queues again; so it does where a worker was lost.
#SBATCH --job-name=fsaf
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/.*/"&:2222"/' | paste -sd,)
export WORKERS

# srun's processes have the numbers of the hosts in this order.
srun --kill-on-bad-exit=0 bash -c '
export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
exec fsaf-train --experiment=fsaf_r50 --model_dir=runs/fsaf_r50 --params_override="\
runtime.distribution_strategy=multi_worker_mirrored,\
task.train_data.global_batch_size=128,task.validation_data.global_batch_size=64,\
trainer.train_steps=11250"
'
status=$?
if ((status != 0 && ${SLURM_RESTART_COUNT:-0} < 20)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
