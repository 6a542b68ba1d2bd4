#!/usr/bin/env bash
# Installs the worker into a Python environment: its Dockerfile and `make setup` run this same script.
# usage: gpu_worker/install.sh PYTHON [MODEL [DIGEST [BEAT_MODEL]]]
#   MODEL        weights to fetch and load now, so that the container needs no network at run time
#   DIGEST       what they must be: the eight hex digits that this script prints, as records name them
#   BEAT_MODEL   weights of the beat tracker; without them beats are found by the worker's own pulse readings
#   TORCH_INDEX  (environment) package index of another PyTorch build, such as the small CPU one
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
model=${2:-}
digest=${3:-}
beat_model=${4:-}

fail() {
    echo "$1" >&2
    exit 1
}

torch=$(grep '^torch==' gpu_worker/requirements.txt)
install=("$python" -m pip install --quiet --disable-pip-version-check)

# torch first: no other package may choose its build.
"${install[@]}" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch" \
    || fail "PyTorch can't be installed: set-up needs PyPI (or TORCH_INDEX=URL of an index that has $torch)."
"${install[@]}" -r gpu_worker/requirements.txt \
    || fail "The worker's packages can't be installed: set-up needs PyPI."
"${install[@]}" --no-deps -r gpu_worker/requirements-alone.txt \
    || fail "basic-pitch and beat-this can't be installed: set-up needs PyPI."

# librosa compiles at first use, which takes half a minute: do that now, numba keeps the result.
"$python" -m gpu_worker.warm_up

if [ -n "$model" ]; then
    label=$("$python" -c "from gpu_worker.separation.models import load_model; print(load_model('$model', device='cpu').label)") \
        || fail "The weights of $model can't be had; see above."
    echo "$label"
    [ -z "$digest" ] || [ "${label#*@}" = "$digest" ] \
        || fail "These are not the weights of $model that were asked for: $label, not $digest."
fi

if [ -n "$beat_model" ]; then
    "$python" -m gpu_worker.analysis.beat_model "$beat_model" \
        || fail "The weights $beat_model of the beat tracker can't be had; see above."
fi
