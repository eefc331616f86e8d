"""The smallest chartbench adapter: answers every question with its own text, in upper case.

    chartbench run --adapters-dir examples/process --adapters echo

The protocol: one JSON object a line. First say what can change the answers; then answer each question that comes in with
its id and a prediction, or an error. End when the input ends. Standard error is free for messages.
"""

import json
import sys


def say(message):
    print(json.dumps(message), flush=True)


say({"protocol": 1, "settings": {"case": "upper"}})
for line in sys.stdin:
    question = json.loads(line)
    try:
        with open(question["image"], "rb") as image:
            if not image.read(1):
                raise ValueError("the image is empty")
        say({"id": question["id"], "prediction": question["question"].upper()})
    except (OSError, ValueError) as error:
        say({"id": question["id"], "error": str(error)})
