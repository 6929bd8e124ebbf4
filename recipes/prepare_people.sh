#!/usr/bin/env bash
# Prepares the clips of real people for recipes/small_from_0.6.sh and recipes/small_from_0.7.sh, which call it.
#
# Needs:  DATA   a folder with hdtf/PERSON/ (HDTF, CC BY 4.0), appearance/ (HDTF), grid_people/SPEAKER/ and grid_s1/ (GRID
#                corpus, CC BY 4.0)
#         OUT    where the datasets go
# Writes: $OUT/hdtf, $OUT/people, $OUT/faces and $OUT/s1. Four people of HDTF and two of GRID are held out to judge the
#         training.
# Run:    DATA=CLIPS OUT=FOLDER recipes/prepare_people.sh
set -euo pipefail
export PATH="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin:$PATH" # the environment that `make setup` makes, if there is one
: "${DATA:?set it to a folder with hdtf, appearance, grid_people and grid_s1}"
: "${OUT:?set it to the folder of the datasets}"

dithead prepare "$DATA/hdtf" -o "$OUT/hdtf" --source HDTF --licence "CC BY 4.0" --identity folder --keep-silent \
  --val-identity p20 --val-identity p22 --val-identity p24 --val-identity p35
dithead prepare "$DATA/grid_people" -o "$OUT/people" --source GRID --licence "CC BY 4.0" \
  --val-identity s33 --val-identity unkD
dithead prepare "$DATA/appearance" -o "$OUT/faces" --source HDTF --licence "CC BY 4.0" --val-fraction 0
dithead prepare "$DATA/grid_s1" -o "$OUT/s1" --source GRID --licence "CC BY 4.0" --identity s1 --val-fraction 0
