"""Answers each question with its own text, after a while; in the fifth task of an array, until it is started again, after a long while."""

import json
import os
import sys
import time

stopped = os.environ.get("SLURM_ARRAY_TASK_ID") == "5" and "SLURM_RESTART_COUNT" not in os.environ
delay = 4.0 if stopped else 0.1
print(json.dumps({"protocol": 1, "settings": {}}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    time.sleep(delay)
    print(json.dumps({"id": question["id"], "prediction": question["question"]}), flush=True)
