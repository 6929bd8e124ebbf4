#!/usr/bin/env bash
# The shipped model `small`, start to finish, on a machine without a GPU (about three hours on two cores).
# Usage: DATA=/path/to/clips HEAD_MODEL=/path/to/head runs/small.sh
#   DATA holds grid_s1/, grid_people/SPEAKER/ (GRID corpus, CC BY 4.0) and appearance/ (HDTF clips, CC BY 4.0);
#   HEAD_MODEL is MakeHuman's head, CC0. Every command resumes when run again.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATA:?folder with grid_s1, grid_people and appearance}" "${HEAD_MODEL:?folder of the parametric head}"
OUT=${OUT:-out/small} SPEECH=${SPEECH:-openai/whisper-tiny} MOONSHINE=${MOONSHINE:-UsefulSensors/moonshine-tiny}
export OMP_WAIT_POLICY=active  # two threads that sleep between kernels lose half of their time waking up

# 1. Data: real lips (s1 is one man for 50 minutes), real faces, synthetic people. Two speakers are held out.
dithead prepare "$DATA/grid_s1" -o "$OUT/s1" --source GRID --licence "CC BY 4.0" --val-fraction 0
dithead prepare "$DATA/grid_people" -o "$OUT/people" --source GRID --licence "CC BY 4.0" \
  --val-identity s33 --val-identity unkD
dithead prepare "$DATA/appearance" -o "$OUT/faces" --source HDTF --licence "CC BY 4.0" --val-fraction 0
dithead synth 240 -o "$OUT/synth-raw" --head-model "$HEAD_MODEL" --seed 1
dithead prepare "$OUT/synth-raw" -o "$OUT/synth" --source "dithead synth" --licence CC0-1.0 --val-fraction 0.03

# 2. Stage one sees every face there is.
dithead train autoencoder --preset small -o "$OUT/autoencoder" \
  --data "$OUT/s1:0.08" --data "$OUT/people:0.43" --data "$OUT/faces:0.09" --data "$OUT/synth:0.4"

# 3. The audio encoder starts from the first layers of a Whisper, which tells sounds apart in anyone's voice, the lip
#    predictor beside it from those of a Moonshine. Without a connection to the hub: SPEECH=out/whisper MOONSHINE=out/moonshine, made by
#    runs/whisper_from_smart_turn.py and runs/moonshine_from_wheel.py (what 0.3 and later started from). (0.6 has 0.4's
#    tokens and transformer and a new lip predictor: --lip-predictor "$MOONSHINE" --tokens-of MODEL_FOLDER --steps 500
#    --set audio.batch=24 --set audio.warmup=40 --set audio.tempo=0.06 --set audio.decay=0.7 --set audio.ema=0.98,
#    s1:0.27, people:0.6, faces:0.13, no synthetic people; put together by runs/new_lip_predictor.py, made smaller by
#    runs/low_rank.py.)
dithead train audio --preset small --speech "$SPEECH" --lip-predictor "$MOONSHINE" -o "$OUT/audio" --steps 1500 --set audio.batch=64 \
  --data "$OUT/s1:0.25" --data "$OUT/people:0.5" --data "$OUT/faces:0.13" --data "$OUT/synth:0.12"

# 4. Stage two. (0.3 went on from 0.2's transformer for 1,800 steps: --init MODEL_FOLDER --steps 1800
#    --set dit.learning_rate=4e-4 --set dit.frames_per_identity=11300 --set dit.reference_choice=random; 0.4 from 0.3's
#    for 2,600: --set dit.learning_rate=3e-4 --set dit.open_share=0.45 --set dit.decay=0.6 and as many frames.)
dithead train dit --preset small --autoencoder "$OUT/autoencoder" --audio "$OUT/audio" -o "$OUT/dit" \
  --data "$OUT/s1:0.25" --data "$OUT/people:0.45" --data "$OUT/faces:0.1" --data "$OUT/synth:0.2"

echo "model: $OUT/dit/model"
