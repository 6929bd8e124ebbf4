#!/usr/bin/env bash
# Every question of the paper as a small run on the same latents, and a table of them all. Sizes fit one CPU core:
# 64-pixel crops, a transformer of 1.5 M parameters, 300 steps of 16 each. Usage: DATA=PREPARED runs/ablations.sh
# Read the table as directions, not as numbers of the shipped model. Every command resumes when run again.
# DATA may be several, "FOLDER:WEIGHT FOLDER:WEIGHT"; MIXED, another such list, adds a run; SYNC_EXPERT, a file of
# `dithead train sync --expert loss`, two with the sync loss; ONLY, names of runs, makes just these and their table.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATA:?prepared datasets, as FOLDER:WEIGHT, separated by spaces}"
OUT=${OUT:-out/ablations}
STEPS=${STEPS:-300}
sources() { local folder; for folder in $1; do printf -- '--data\n%s\n' "$folder"; done; }
mapfile -t data < <(sources "$DATA")
dithead() { .venv/bin/dithead "$@"; }
common=(--preset tiny --set "model.autoencoder.widths=[16,32,64,96]" --set "model.autoencoder.skip_widths=[16,24,32]"
  --set model.dit.width=128 --set model.dit.depth=4 --set model.dit.heads=4 --set model.dit.audio_width=64
  --set model.audio.width=64 --set model.audio.window=32 --set autoencoder.batch=16 --set audio.batch=64 --set dit.batch=16
  --set autoencoder.frames_per_identity=400 --set dit.frames_per_identity=1000)

dithead train autoencoder "${data[@]}" "${common[@]}" --steps "${AE_STEPS:-800}" -o "$OUT/autoencoder"
dithead train audio "${data[@]}" "${common[@]}" --steps "${AUDIO_STEPS:-800}" -o "$OUT/audio"

run() { # NAME [--set KEY=VALUE ...]: one run on the shared latents
  local name=$1; shift
  [[ -z "${ONLY:-}" || " $ONLY " == *" $name "* ]] || return 0
  dithead train dit "${data[@]}" "${common[@]}" "$@" --steps "$STEPS" --autoencoder "$OUT/autoencoder" \
    --audio "$OUT/audio" --cache "$OUT/latents" -o "$OUT/$name"
  runs+=("$OUT/$name")
}

runs=()
run base
run base-again --seed 1
run base-third --seed 2
# The backbone
run unet        --set model.dit.backbone=unet --set model.dit.width=80
run narrow      --set model.dit.width=64
run deep        --set model.dit.depth=8
# What is predicted, on which path, with which weights
run one-step    --set model.objective=regression --set model.steps=1
run adversarial --set model.objective=regression --set model.steps=1 --set dit.adversarial_weight=0.1
run epsilon     --set model.objective=ddpm --set model.steps=10
run epsilon-snr --set model.objective=ddpm --set model.steps=10 --set dit.weighting=min-snr
run velocity    --set model.objective=v --set model.steps=10
run flow-uniform --set dit.weighting=uniform
run flow-logit-normal --set dit.weighting=logit-normal
# How speech comes in
run audio-concat --set model.dit.audio=concat
run no-lip-shape --set model.dit.lip_targets=0
# What the reference and the mask show
run no-reference --set dit.reference_dropout=1.0
run three-references --set model.dit.references=3
run no-previous --set dit.previous_reference=0.0
run previous-noiseless --set dit.previous_noise=0.0
run random-reference --set dit.reference_choice=random
run random-again --seed 1 --set dit.reference_choice=random
run random-third --seed 2 --set dit.reference_choice=random
run far-mouth   --set dit.reference_choice=far-mouth
run mask-polygon --set model.mask=polygon
run mask-box    --set model.mask=box
# Frames together, and the sync expert as a loss
run temporal    --set model.dit.temporal=4
if [ -n "${SYNC_EXPERT:-}" ]; then
  run sync-loss  --set dit.sync_weight=0.5 --sync-expert "$SYNC_EXPERT"
  run sync-again --seed 1 --set dit.sync_weight=0.5 --sync-expert "$SYNC_EXPERT"
fi
[ -z "${MIXED:-}" ] || { mapfile -t data < <(sources "$MIXED"); run mixed; }

dithead train table "${runs[@]}" | tee "$OUT/table.md"
