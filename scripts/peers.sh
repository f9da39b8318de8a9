#!/bin/sh
# Compares Banyan with its peers: on a Hugging Face folder, which transformers must load and compute
# the same logits from, and whose tokenizer must give the same ids; on files of every format
# (scripts/peer_formats.py); on random models of every family, both ways (scripts/peer_families.py);
# and PyTorch must train as we do. NVIDIA's headers and compiler, which come with PyTorch, must agree
# with our GPU code.
#
#   scripts/peers.sh PYTHON BANYAN FOLDER HOSTILE [SHARED]
#
# HOSTILE is the number of generated texts for each tokenizer. With the folder of shared data, real tokenizers are compared too, on every line of the corpora.
# FOLDER is what `make demo` exported. If there is none, a model with random weights is compared.
set -eu

python=$1 banyan=$2 folder=$3 hostile=$4 shared=${5:-}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

if [ ! -f "$folder/config.json" ]; then
	echo "peers: no $folder; comparing a model with random weights (make demo makes a better one)"
	folder=$tmp/model
	"$banyan" model init "$folder" --config examples/model/config.json \
		--tokenizer examples/tokenizer --seed 1
fi

# A fixed input of 96 tokens, all over a vocabulary of 4096.
ids=$(awk 'BEGIN { for (i = 0; i < 96; i++) printf "%s%d", i ? "," : "", (i * 613 + 11) % 4096 }')
"$banyan" model logits --model "$folder" --ids "$ids" >"$tmp/logits.json"
HF_HUB_OFFLINE=1 "$python" scripts/peer_logits.py "$folder" "$tmp/logits.json" "$ids"

HF_HUB_OFFLINE=1 "$python" scripts/peer_tokenizer.py "$banyan" "$folder" --hostile "$hostile" \
	--texts examples/corpora/*.jsonl dataset/tokenize/testdata/goldens.jsonl
if [ -n "$shared" ]; then
	"$python" scripts/llama3_words.py "$shared/data/tokenizers/qwen2" "$tmp/llama3-words"
	for tokenizer in "$shared/data/tokenizers/qwen2" "$tmp/llama3-words"; do
		HF_HUB_OFFLINE=1 "$python" scripts/peer_tokenizer.py "$banyan" "$tokenizer" \
			--hostile "$hostile" --texts "$shared"/data/corpora/*.jsonl
	done
	llama2=$shared/data/tokenizers/llama2/tokenizer.model
	chinese=$shared/data/tokenizers/chinese-llama/chinese_sp.model
	"$banyan" tokenizer extend --base "$llama2" --add "$chinese" -o "$tmp/merged.model"
	for model in "$llama2" "$chinese" "$tmp/merged.model"; do
		"$python" scripts/peer_sentencepiece.py "$banyan" "$model" \
			--hostile "$hostile" --texts "$shared"/data/corpora/*.jsonl
	done
fi

# What we declare of GPU libraries, against NVIDIA's headers; our CUDA kernels, by NVIDIA's compiler.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" scripts/gpu_headers.py "$site"
"$python" scripts/gpu_lint.py "$site"
sh scripts/nccl_headers.sh "$python"
"$banyan" doctor --cuda-path "$site"

# The documents of files of every format.
go build -o "$tmp/bench" ./internal/bench
"$python" scripts/peer_formats.py "$tmp/bench"

mkdir "$tmp/families"
HF_HUB_OFFLINE=1 "$python" scripts/peer_families.py "$banyan" "$tmp/families"

# 200 steps of training on the shipped texts, against PyTorch.
BANYAN_CURVE=$tmp go test -count=1 -run TestPeerCurve ./worker/train
HF_HUB_OFFLINE=1 "$python" scripts/peer_curve.py "$tmp"

# Losses and gradients of models of every family.
HF_HUB_OFFLINE=1 "$python" scripts/peer_gradients.py "$tmp/gradients"
BANYAN_PEERS=$tmp/gradients go test -count=1 -v -run TestPeerGradients ./worker/model
