#!/usr/bin/env bash
# Measures what synthetic people are worth on real ones, and what each realistic feature of the rendering adds.
#
# Renders small corpora, each without one feature, trains three small networks on each and measures them on people they
# were not trained on (experiments/synthetic_transfer.py says which networks and measures).
#
# Needs:  HEAD_MODEL  a folder with MakeHuman's head (CC0)
#         PEOPLE      a prepared dataset of real people; its split `val` is never trained on
#         TEST        prepared datasets of other real people, separated by spaces
#         BIG         optional: a prepared synthetic dataset, compared with PEOPLE and joined to it
# Takes:  about half an hour on one idle core.
# Writes: out/transfer/, or $OUT/; the table is $OUT/table.md.
# Run:    HEAD_MODEL=HEAD BIG=PREPARED_SYNTH PEOPLE=PREPARED_REAL TEST="PREPARED PREPARED" recipes/transfer.sh
#
# Steps that are done already are skipped when the script is run again.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" # the environment that `make setup` makes, where there is one
: "${HEAD_MODEL:?set it to the folder of the parametric head}"
: "${PEOPLE:?set it to a prepared dataset of real people with a val split}"
: "${TEST:?set it to prepared test sets, separated by spaces}"
OUT=${OUT:-out/transfer}
PYTHON=${PYTHON:-python}
STEPS=${STEPS:-300}            # of training on PEOPLE or BIG
SMALL_STEPS=${SMALL_STEPS:-150} # of training on a small corpus
FEATURES=${FEATURES-"visemes microphone inside people light camera motion voices skin expression shadow"}
strangers="strangers=$PEOPLE:val$(printf ',%s' $TEST)"

measure() { # NAME SEED STEPS DATASET...: train on the datasets and measure, once
  local name=$1 seed=$2 steps=$3 train=() tests=(--test "$strangers")
  shift 3
  [ -f "$OUT/$name/numbers.json" ] && return
  for folder in "$@"; do train+=(--train "$folder"); done
  # Where PEOPLE is not in the training data, all of it is a test set, too.
  [[ " $* " == *" $PEOPLE"* ]] || tests+=(--test "everybody=$PEOPLE")
  "$PYTHON" experiments/synthetic_transfer.py measure -o "$OUT/$name" "${train[@]}" "${tests[@]}" \
    --steps "$steps" --seed "$seed"
}

render() { # NAME [--without FEATURE]: render a small corpus and prepare it, once
  local name=$1
  shift
  [ -f "$OUT/data/$name/done" ] && return
  dithead synth "${COUNT:-20}" -o "$OUT/raw/$name" --head-model "$HEAD_MODEL" --seed 11 --size "${SIZE:-192}" \
    --seconds "${SECONDS_EACH:-2}" "$@"
  dithead prepare "$OUT/raw/$name" -o "$OUT/data/$name" --val-fraction 0 --workers 1
  touch "$OUT/data/$name/done"
}

remove_microphone() { # the small corpus with other sound: its pictures need not be rendered again
  local name=without-microphone
  [ -f "$OUT/data/$name/done" ] && return
  "$PYTHON" experiments/synthetic_transfer.py clean-sound --corpus "$OUT/raw/small" --dataset "$OUT/data/small" \
    -o "$OUT/data/$name"
  touch "$OUT/data/$name/done"
}

# 1. Real people, a large synthetic corpus, both together, and the synthetic one again with another seed.
measure real 0 "$STEPS" "$PEOPLE:train"
if [ -n "${BIG:-}" ]; then
  measure synthetic 0 "$STEPS" "$BIG"
  measure synthetic+real 0 "$STEPS" "$BIG" "$PEOPLE:train"
  measure synthetic-again 1 "$STEPS" "$BIG"
fi

# 2. A small corpus with every feature, with two seeds: what differs less than these two do is chance.
render small
measure small 0 "$SMALL_STEPS" "$OUT/data/small"
measure small-again 1 "$SMALL_STEPS" "$OUT/data/small"

# 3. The same without one feature each.
for feature in $FEATURES; do
  if [ "$feature" = microphone ]; then remove_microphone; else render "without-$feature" --without "$feature"; fi
  measure "without-$feature" 0 "$SMALL_STEPS" "$OUT/data/without-$feature"
done

# 4. The table.
"$PYTHON" experiments/synthetic_transfer.py table \
  "$OUT"/{real,synthetic,synthetic+real,synthetic-again,small,small-again,without-*} | tee "$OUT/table.md"
