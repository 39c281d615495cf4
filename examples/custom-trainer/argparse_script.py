"""Minimise a badly scaled quadratic by gradient descent with momentum."""

import argparse
import json
import random

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--momentum", type=float, default=0.0)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

random.seed(args.seed)
x, y = random.uniform(1, 2), random.uniform(1, 2)
vx = vy = 0.0
for step in range(1, 201):
    vx = args.momentum * vx - args.learning_rate * x
    vy = args.momentum * vy - args.learning_rate * 3 * y
    x, y = x + vx, y + vy
    if step % 5 == 0:
        print(json.dumps({"step": step, "loss": 0.5 * (x * x + 3 * y * y)}), flush=True)
