#!/usr/bin/env bash
# Trains `small` 0.8 from `small` 0.7: its decoder knows what the transformer draws, and three networks read the lips.
#
# Needs:  DATA   a folder with hdtf/PERSON/ (HDTF, CC BY 4.0), appearance/ (HDTF), grid_people/SPEAKER/ and grid_s1/ (GRID
#                corpus, CC BY 4.0)
#         MODEL  the model folder of small 0.7: src/dithead/weights/small of commit 76f14c1
# Takes:  about forty minutes of one core with bfloat16 instructions.
# Writes: out/small-0.8/model, or $OUT/model.
# Run:    DATA=CLIPS MODEL=FOLDER recipes/small_from_0.7.sh
#
# Every command resumes when the script is run again. The released 0.8 read every fourth clip of grid_s1.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" # the environment that `make setup` makes, where there is one
: "${DATA:?set it to a folder with hdtf, appearance, grid_people and grid_s1}"
: "${MODEL:?set it to the model folder of small 0.7}"
OUT=${OUT:-out/small-0.8}

# 1. The people: four of HDTF and two of GRID are held out to judge the training.
DATA="$DATA" OUT="$OUT" recipes/prepare_people.sh

# 2. Which lip shapes the model's coefficients stand for, and a run folder of its transformer, which draws in step 3.
python experiments/audio_run_of_model.py "$MODEL" "$OUT/audio-0.7" --train "$OUT/hdtf:train" --train "$OUT/people:train" \
  --held-out "$OUT/hdtf:val" --held-out "$OUT/people:val"
mkdir -p "$OUT/dit-0.7"
ln -sfn "$(realpath "$MODEL")" "$OUT/dit-0.7/model"
printf '{"audio": "%s"}\n' "$(realpath "$OUT/audio-0.7")" > "$OUT/dit-0.7/config.json"

# 3. Stage one: the decoder goes on, with three quarters of the latents drawn by the transformer.
dithead train autoencoder --preset small --latents-of "$MODEL" --init "$MODEL" --drawn-by "$OUT/dit-0.7" \
  -o "$OUT/autoencoder" --data "$OUT/hdtf:0.6" --data "$OUT/people:0.34" --data "$OUT/faces:0.06" --steps 1200 \
  --set autoencoder.drawn_share=0.75 --set autoencoder.adversarial_start=0 --set autoencoder.learning_rate=5e-4 \
  --set autoencoder.warmup=30 --set autoencoder.decay=0.4 --set autoencoder.frames_per_identity=350 \
  --set autoencoder.ema=0.995 --set autoencoder.opened_references=0.15

# 4. Two more networks that read the lips off the lip predictor's layers. The units of the width are what
#    `experiments/lent_references.py --fit` prints for this model on six clips of HDTF (p20/1, p22/1, p24/1, p35/1, p31/2,
#    p34/1).
python experiments/replace_autoencoder.py "$MODEL" "$OUT/autoencoder" "$OUT/with-autoencoder" --version 0.8
python experiments/add_lip_readers.py "$OUT/with-autoencoder" "$OUT/audio-0.7" "$OUT/model" --version 0.8 \
  --data "$OUT/hdtf:0.55" --data "$OUT/people:0.3" --data "$OUT/s1:0.15" \
  --width-units 0.0213 -0.0774 -0.0484 0.0253 0.0143 0.014 0.0016 -0.0041 -0.022
echo "model: $OUT/model"
