#!/bin/sh
# How unevenly does a number divide what is below 20? (A stand-in for a program that trains.)
set -eu
sum=0
step=0
while [ "$step" -lt 20 ]; do
    step=$((step + 1))
    sum=$((sum + step % $1))
    echo "{\"step\": $step, \"remainder_sum\": $sum}" >>"$KGEN_METRICS_FILE"
done
