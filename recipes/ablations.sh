#!/usr/bin/env bash
# Trains every variant of the ablation table of the docs, three seeds each, on one shared autoencoder, and prints the table.
#
# Needs:  DATA   prepared datasets with a held-out split, separated by spaces, each FOLDER or FOLDER:WEIGHT
# Takes:  about a minute and a half for each variant and seed on one core. Sizes are made for that: crops of 64 pixels, a
#         transformer of 1.5 M parameters, 300 steps of 16 samples. Read the table as directions, not as figures of the
#         shipped model.
# Writes: out/ablations/, or $OUT/; the table is $OUT/table.md.
# Run:    DATA=PREPARED recipes/ablations.sh
#
# Every command resumes when the script is run again. Optional: MIXED, a list of datasets like DATA, adds the variant
# `mixed` trained on them; SEEDS="0 1" chooses seeds; ONLY="base deep" chooses variants.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" # the environment that `make setup` makes, where there is one
: "${DATA:?set it to prepared datasets, as FOLDER:WEIGHT, separated by spaces}"
OUT=${OUT:-out/ablations}

# 1. What all variants share: a small model, and how many frames of each person are read.
small=(--preset tiny --set "model.autoencoder.widths=[16,32,64,96]" --set "model.autoencoder.skip_widths=[16,24,32]"
  --set model.dit.width=128 --set model.dit.depth=4 --set model.dit.heads=4 --set model.dit.audio_width=64
  --set model.audio.width=64 --set model.audio.window=32 --set autoencoder.batch=16 --set audio.batch=64
  --set dit.batch=16 --set autoencoder.frames_per_identity=400 --set dit.frames_per_identity=1000)

data_options() { # "FOLDER:WEIGHT ..." as one --data option each, a word a line
  local folder
  for folder in $1; do printf -- '--data\n%s\n' "$folder"; done
}
mapfile -t people < <(data_options "$DATA")

# 2. One autoencoder and one audio encoder for all variants.
dithead train autoencoder "${people[@]}" "${small[@]}" --steps "${AE_STEPS:-800}" -o "$OUT/autoencoder"
dithead train audio "${people[@]}" "${small[@]}" --steps "${AUDIO_STEPS:-800}" -o "$OUT/audio"

# 3. The variants. Each is one training of the transformer that differs from `base` in the options after its name.
variant() { # NAME [OPTION ...]
  local name=$1
  shift
  [[ -z "${ONLY:-}" || " $ONLY " == *" $name "* ]] || return 0
  dithead train dit "${data[@]}" "${small[@]}" "$@" --seed "$seed" --steps "${STEPS:-300}" \
    --autoencoder "$OUT/autoencoder" --audio "$OUT/audio" --cache "$OUT/latents" -o "$OUT/$name-$seed"
  runs+=("$OUT/$name-$seed")
}

runs=()
for seed in ${SEEDS:-0 1 2}; do
  data=("${people[@]}")
  variant base
  # The network.
  variant unet --set model.dit.backbone=unet --set model.dit.width=80
  variant narrow --set model.dit.width=64
  variant deep --set model.dit.depth=8
  # What is predicted, on which noise path.
  variant one-step --set model.objective=regression --set model.steps=1
  variant adversarial --set model.objective=regression --set model.steps=1 --set dit.adversarial_weight=0.1
  variant epsilon --set model.objective=ddpm --set model.steps=10
  variant velocity --set model.objective=v --set model.steps=10
  # How speech conditions the network.
  variant audio-concat --set model.dit.audio=concat
  variant no-lip-shape --set model.dit.lip_targets=0
  # The reference frames and the mask.
  variant no-reference --set model.dit.references=0
  variant three-references --set model.dit.references=3
  variant no-previous --set dit.previous_reference=0.0
  variant previous-noiseless --set dit.previous_noise=0.0
  variant random-reference --set dit.reference_choice=random
  variant mask-polygon --set model.mask=polygon
  variant mask-box --set model.mask=box
  # The sync expert as a loss.
  variant sync-loss --set dit.sync_weight=0.5
  # Other training data.
  if [ -n "${MIXED:-}" ]; then
    mapfile -t data < <(data_options "$MIXED")
    variant mixed
  fi
done

# 4. The table.
dithead train table --seeds "${runs[@]}" | tee "$OUT/table.md"
