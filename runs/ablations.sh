#!/usr/bin/env bash
# Every question of the paper as small runs on the same autoencoder, three seeds each, and a table of them all. Sizes fit
# one CPU core: 64-pixel crops, a transformer of 1.5 M parameters, 300 steps of 16 each, about a minute and a half a run.
# Read the table as directions, not as numbers of the shipped model. Every command resumes when run again.
# Usage: DATA=PREPARED runs/ablations.sh. DATA may be several, "FOLDER:WEIGHT FOLDER:WEIGHT"; MIXED, another such list,
# adds a row; SEEDS are the seeds, ONLY the names of rows to make; FILL=docs/results.md puts the table in there.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATA:?prepared datasets, as FOLDER:WEIGHT, separated by spaces}"
OUT=${OUT:-out/ablations}
STEPS=${STEPS:-300}
sources() { local folder; for folder in $1; do printf -- '--data\n%s\n' "$folder"; done; }
mapfile -t people < <(sources "$DATA")
dithead() { .venv/bin/dithead "$@"; }
common=(--preset tiny --set "model.autoencoder.widths=[16,32,64,96]" --set "model.autoencoder.skip_widths=[16,24,32]"
  --set model.dit.width=128 --set model.dit.depth=4 --set model.dit.heads=4 --set model.dit.audio_width=64
  --set model.audio.width=64 --set model.audio.window=32 --set autoencoder.batch=16 --set audio.batch=64 --set dit.batch=16
  --set autoencoder.frames_per_identity=400 --set dit.frames_per_identity=1000)

dithead train autoencoder "${people[@]}" "${common[@]}" --steps "${AE_STEPS:-800}" -o "$OUT/autoencoder"
dithead train audio "${people[@]}" "${common[@]}" --steps "${AUDIO_STEPS:-800}" -o "$OUT/audio"

run() { # NAME [--set KEY=VALUE ...]: one run of the present seed
  local name=$1; shift
  [[ -z "${ONLY:-}" || " $ONLY " == *" $name "* ]] || return 0
  dithead train dit "${data[@]}" "${common[@]}" "$@" --seed "$seed" --steps "$STEPS" --autoencoder "$OUT/autoencoder" \
    --audio "$OUT/audio" --cache "$OUT/latents" -o "$OUT/$name-$seed"
  runs+=("$OUT/$name-$seed")
}

rows() {
  data=("${people[@]}")
  run base
  # The backbone
  run unet        --set model.dit.backbone=unet --set model.dit.width=80
  run narrow      --set model.dit.width=64
  run deep        --set model.dit.depth=8
  # What is predicted, on which path
  run one-step    --set model.objective=regression --set model.steps=1
  run adversarial --set model.objective=regression --set model.steps=1 --set dit.adversarial_weight=0.1
  run epsilon     --set model.objective=ddpm --set model.steps=10
  run velocity    --set model.objective=v --set model.steps=10
  # How speech comes in
  run audio-concat --set model.dit.audio=concat
  run no-lip-shape --set model.dit.lip_targets=0
  # What the reference and the mask show
  run no-reference --set model.dit.references=0
  run three-references --set model.dit.references=3
  run no-previous --set dit.previous_reference=0.0
  run previous-noiseless --set dit.previous_noise=0.0
  run random-reference --set dit.reference_choice=random
  run mask-polygon --set model.mask=polygon
  run mask-box    --set model.mask=box
  # The sync expert as a loss
  run sync-loss   --set dit.sync_weight=0.5
  [ -z "${MIXED:-}" ] || { mapfile -t data < <(sources "$MIXED"); run mixed; }
}

runs=()
for seed in ${SEEDS:-0 1 2}; do rows; done
dithead train table --seeds "${runs[@]}" | tee "$OUT/table.md"
[ -z "${FILL:-}" ] || sed -i -e '/^<!-- ablations -->$/,/^<!-- end of ablations -->$/{//!d}' \
  -e "/^<!-- ablations -->$/r $OUT/table.md" "$FILL"
