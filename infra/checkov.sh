#!/usr/bin/env bash
# Checks infra/ with checkov: no failed check without a reason written beside the resource (checkov:skip=ID: reason), and
# no file that it can't parse. usage: infra/checkov.sh [PYTHON]. Its environment is its own, since it pins many packages.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
home=.local/checkov
checkov=3.3.30
# checkov pins a parser of Bicep that knows neither `extension` nor lists of rows in loops; this one does.
parser=0.7.1

if [ ! -e "$home/$checkov-$parser" ]; then
    rm -rf "$home"
    "$python" -m venv "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check "checkov==$checkov"
    "$home/bin/pip" install --quiet --disable-pip-version-check --no-deps "pycep-parser==$parser" 'regex>=2024' 2>/dev/null
    touch "$home/$checkov-$parser"
fi

status=0
report=$("$home/bin/checkov" --directory infra --framework bicep --skip-download --compact --quiet) || status=$?
echo "$report"
if grep -q 'Parsing errors: [1-9]' <<<"$report"; then
    echo "checkov could not parse every file." >&2
    status=1
fi
exit "$status"
