"""Answers each question with its own text, after a while; in the tasks of an array that SLOW_TASKS names, until they are started again, after
a long while."""

import json
import os
import sys
import time

task = os.environ.get("SLURM_ARRAY_TASK_ID")
is_slow = task in os.environ.get("SLOW_TASKS", "").split() and "SLURM_RESTART_COUNT" not in os.environ
delay = 8.0 if is_slow else 0.1
print(json.dumps({"protocol": 1, "settings": {}}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    time.sleep(delay)
    print(json.dumps({"id": question["id"], "prediction": question["question"]}), flush=True)
