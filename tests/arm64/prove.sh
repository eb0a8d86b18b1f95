#!/usr/bin/env bash
# Proves that edgecheck works on 64-bit ARM, on the emulated board of board.sh: tests/arm64/prove.sh FOLDER
#
# The base install answers without PyTorch, quantized files give the classes that they give here, and a bundle that is
# packed here is measured there and merged here. Exits with 77 where the board cannot be made.
set -euo pipefail
folder=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
export PYTHON=${PYTHON:-python3}
files=$folder/root/files
name=arm64-qemu  # which the gate of int8.yaml names

board() { tests/arm64/board.sh "$folder" "$@"; }
here() { "$PYTHON" -m "$@"; }
step() { printf '\n-- %s (%s s)\n' "$1" "$SECONDS"; }

step "the base install on $name"
board true
rm -rf "$files"
mkdir -p "$files/parity"
here tests.board_files "$files"
board python3 -c 'import importlib.util, sys; sys.exit(bool(importlib.util.find_spec("torch")))'
board edgecheck doctor
board edgecheck count a.onnx
board edgecheck check --baseline a.onnx --candidate b.onnx --data data.npz --gate 'accuracy_drop_pp <= 100' --out run

step "the outputs of quantized files, here and on $name"
here tests.arm64.parity make "$files/parity"
cp tests/arm64/parity.py "$files"
here tests.arm64.parity logits "$files/parity" "$folder/here.npz"
board python3 parity.py logits parity there.npz
here tests.arm64.parity compare "$files/parity" "$folder/here.npz" "$files/there.npz"

step "a bundle, packed here, measured on $name and merged here"
rm -rf "$folder/run"
here edgecheck run tests/arm64/int8.yaml --out "$folder/run" >/dev/null || test $? = 1  # 1: the board is not measured yet
here edgecheck bundle "$folder/run" --out "$files/bundle.zip" --images 100 --time-budget 1
board edgecheck device selftest bundle.zip
board edgecheck device run bundle.zip --name "$name" --out result.json
here edgecheck merge "$folder/run" "$files/result.json"
here tests.arm64.merged "$folder/run" "$name"
