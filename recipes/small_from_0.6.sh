#!/usr/bin/env bash
# Trains `small` 0.7, which draws faster and has seen more people, from `small` 0.6.
#
# Needs:  DATA   a folder with hdtf/PERSON/ (HDTF, CC BY 4.0), appearance/ (HDTF), grid_people/SPEAKER/ and grid_s1/ (GRID
#                corpus, CC BY 4.0)
#         MODEL  the model folder of small 0.6: src/dithead/weights/small of commit ab903cd
# Takes:  about an hour and a half of one core.
# Writes: out/small-0.7/model, or $OUT/model.
# Run:    DATA=CLIPS MODEL=FOLDER recipes/small_from_0.6.sh
#
# Every command resumes when the script is run again. The released 0.7 read every fifth clip of grid_s1.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" # the environment that `make setup` makes, where there is one
: "${DATA:?set it to a folder with hdtf, appearance, grid_people and grid_s1}"
: "${MODEL:?set it to the model folder of small 0.6}"
OUT=${OUT:-out/small-0.7}

# 1. The people: four of HDTF and two of GRID are held out to judge the training.
DATA="$DATA" OUT="$OUT" recipes/prepare_people.sh

# 2. Stage one: the latents of 0.6 stay; a decoder with half of the work, and an encoder of masked frames with a quarter,
#    are trained for them, first without and then with the discriminator and the face recognition network.
faces=(--data "$OUT/hdtf:0.58" --data "$OUT/people:0.27" --data "$OUT/faces:0.07")
dithead train autoencoder --preset small --latents-of "$MODEL" -o "$OUT/autoencoder-1" "${faces[@]}" --steps 1400 \
  --set autoencoder.adversarial_start=2 --set autoencoder.identity_weight=0 --set autoencoder.learning_rate=1e-3 \
  --set autoencoder.warmup=80 --set autoencoder.decay=0.2 --set autoencoder.frames_per_identity=800 \
  --set autoencoder.ema=0.995
dithead train autoencoder --preset small --latents-of "$MODEL" -o "$OUT/autoencoder" --init "$OUT/autoencoder-1" \
  --data "$OUT/hdtf:0.5" --data "$OUT/people:0.25" --data "$OUT/faces:0.06" --data "$OUT/s1:0.05" --steps 1500 \
  --set autoencoder.adversarial_start=0 --set autoencoder.learning_rate=7e-4 --set autoencoder.warmup=50 \
  --set autoencoder.decay=0.2 --set autoencoder.frames_per_identity=800 --set autoencoder.ema=0.995

# 3. Stage two: five of the transformer's eight blocks go on, on references opened by geometry, too.
python experiments/audio_run_of_model.py "$MODEL" "$OUT/audio-0.6" --train "$OUT/hdtf:train" --train "$OUT/people:train" \
  --held-out "$OUT/hdtf:val" --held-out "$OUT/people:val"
dithead train dit --preset small -o "$OUT/dit" --autoencoder "$OUT/autoencoder-1" --audio "$OUT/audio-0.6" \
  --init "$MODEL" --steps 1100 --set dit.learning_rate=4e-4 --set dit.warmup=40 --set dit.decay=0.6 \
  --set dit.ema=0.995 --set dit.open_share=0.5 --set dit.frames_per_identity=900 \
  --data "$OUT/hdtf:0.55" --data "$OUT/people:0.35" --data "$OUT/s1:0.1"

# 4. The lip predictor: the mean of 0.6's weights and of those that go on from them with HDTF's speech.
dithead train audio --preset small --tokens-of "$MODEL" --lip-predictor "$MODEL" -o "$OUT/audio" --steps 500 \
  --set audio.batch=24 --set audio.warmup=40 --set audio.tempo=0.06 --set audio.decay=0.7 --set audio.ema=0.98 \
  --data "$OUT/hdtf:0.6" --data "$OUT/people:0.3" --data "$OUT/s1:0.1"

# 5. All of it as one model. The units of the width are what `experiments/lent_references.py --fit` prints for this model on
#    six clips of HDTF (p20/1, p22/1, p24/1, p35/1, p31/2, p34/1).
python experiments/replace_autoencoder.py "$OUT/dit/model" "$OUT/autoencoder" "$OUT/with-autoencoder" --version 0.7
python experiments/replace_audio_encoder.py "$OUT/with-autoencoder" "$OUT/audio" "$OUT/with-lips" --share 0.5 --version 0.7 \
  --width-units 0.0136 -0.0722 -0.0538 0.0389 -0.0015 0.0234 0.0208 -0.0068 -0.0178

# 6. A head that knows closed lips by ear.
python experiments/learn_closures.py "$OUT/with-lips" "$OUT/model" --version 0.7 \
  --data "$OUT/hdtf:0.7" --data "$OUT/people:0.3"
echo "model: $OUT/model"
