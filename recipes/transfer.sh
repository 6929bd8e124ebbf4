#!/usr/bin/env bash
# What are synthetic people worth on real ones, and what does each realistic feature add? Renders small corpora, each
# without one feature, trains three small networks on each (experiments/synthetic_transfer.py) and measures them on people never seen.
# Usage: HEAD_MODEL=HEAD BIG=PREPARED_SYNTH PEOPLE=PREPARED_REAL TEST="PREPARED PREPARED" recipes/transfer.sh
# PEOPLE's split `val` is never trained on. About half an hour of one idle core. Every step is skipped when it is done already.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${HEAD_MODEL:?folder of the parametric head}" "${PEOPLE:?prepared dataset of real people with a val split}" "${TEST:?prepared test sets}"
OUT=${OUT:-out/transfer} COUNT=${COUNT:-20} SECONDS_EACH=${SECONDS_EACH:-2} SIZE=${SIZE:-192} STEPS=${STEPS:-300} SMALL_STEPS=${SMALL_STEPS:-150}
FEATURES=${FEATURES-"visemes microphone inside people light camera motion voices skin expression shadow"}
PYTHON=${PYTHON:-.venv/bin/python}
dithead() { "$PYTHON" -m dithead.cli "$@"; }
strangers="strangers=$PEOPLE:val$(printf ',%s' $TEST)"

probe() { # NAME SEED DATASET...: train and measure, once
  local name=$1 seed=$2 train=() tests=(--test "$strangers"); shift 2
  [ -f "$OUT/$name/numbers.json" ] && return
  for folder in "$@"; do train+=(--train "$folder"); done
  [[ " $* " == *" $PEOPLE"* ]] || tests+=(--test "everybody=$PEOPLE")   # nobody of them was trained on
  "$PYTHON" experiments/synthetic_transfer.py measure -o "$OUT/$name" "${train[@]}" "${tests[@]}" --steps "$STEPS" --seed "$seed"
}
corpus() { # NAME [--without FEATURE]: render and prepare, once
  local name=$1; shift
  [ -f "$OUT/data/$name/done" ] && return
  if [ "$name" = without-microphone ]; then   # the same pictures, another sound: nothing to render
    "$PYTHON" experiments/synthetic_transfer.py clean-sound --corpus "$OUT/raw/small" --dataset "$OUT/data/small" -o "$OUT/data/$name" && touch "$OUT/data/$name/done"
    return
  fi
  dithead synth "$COUNT" -o "$OUT/raw/$name" --head-model "$HEAD_MODEL" --seed 11 --size "$SIZE" --seconds "$SECONDS_EACH" "$@"
  dithead prepare "$OUT/raw/$name" -o "$OUT/data/$name" --val-fraction 0 --workers 1 && touch "$OUT/data/$name/done"
}

probe real 0 "$PEOPLE:train"
if [ -n "${BIG:-}" ]; then
  probe synthetic 0 "$BIG"
  probe synthetic+real 0 "$BIG" "$PEOPLE:train"
  probe synthetic-again 1 "$BIG"
fi
corpus small
STEPS=$SMALL_STEPS probe small 0 "$OUT/data/small"
STEPS=$SMALL_STEPS probe small-again 1 "$OUT/data/small"
for feature in $FEATURES; do
  corpus "without-$feature" --without "$feature"
  STEPS=$SMALL_STEPS probe "without-$feature" 0 "$OUT/data/without-$feature"
done
"$PYTHON" experiments/synthetic_transfer.py table "$OUT"/{real,synthetic,synthetic+real,synthetic-again,small,small-again,without-*} | tee "$OUT/table.md"
