#!/bin/sh
# Runs examples/ziya on a cluster of its own in .ziya/, and draws docs/ziya.svg.
#
#   scripts/ziya.sh BANYAN PYTHON
set -eu

banyan=$1 python=$2
rm -rf .ziya
mkdir -p .ziya/tokenizer
cp examples/ziya/base.model .ziya/tokenizer/tokenizer.model
"$banyan" model init .ziya/seed --config examples/ziya/config.json --tokenizer .ziya/tokenizer --seed 1

export BANYAN_LOG=error BANYAN_ADDR=127.0.0.1:7171
"$banyan" up --coordinators 1 --workers 2 --dir .ziya/cluster --port 7171 >.ziya/up.log 2>&1 &
up=$!
trap 'kill $up 2>/dev/null; wait $up 2>/dev/null || :' EXIT
trap 'exit 1' HUP INT TERM
until "$banyan" status >/dev/null 2>&1; do
	kill -0 $up || { cat .ziya/up.log; exit 1; }
	sleep 0.2
done

"$banyan" launch examples/ziya/base.yaml --watch
"$banyan" checkpoint export ziya-base .ziya/base
for run in ziya zh-only; do
	"$banyan" launch examples/ziya/$run.yaml --watch
done
"$banyan" watch ziya --json >.ziya/ziya.jsonl
"$banyan" watch ziya-zh-only --json >.ziya/zh-only.jsonl
"$python" scripts/plot_ziya.py .ziya/ziya.jsonl .ziya/zh-only.jsonl >docs/ziya.svg
echo "ziya: drew docs/ziya.svg"
