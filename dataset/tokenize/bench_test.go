package tokenize

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// sharedTexts reads the texts of shared corpora of one language.
func sharedTexts(b *testing.B, pattern string) (texts []string, size int) {
	b.Helper()
	sharedFile(b, "README.md") // skips without shared data
	paths, err := filepath.Glob(filepath.Join(sharedFolder(), "corpora", pattern))
	if err != nil || len(paths) == 0 {
		b.Fatalf("no corpora %s: %v", pattern, err)
	}
	slices.Sort(paths)
	for _, path := range paths {
		for line := range bytes.Lines(sharedFile(b, "corpora", filepath.Base(path))) {
			var row struct{ Text string }
			if err := json.Unmarshal(line, &row); err != nil {
				b.Fatalf("%s: %v", path, err)
			}
			texts = append(texts, row.Text)
			size += len(row.Text)
		}
	}
	return texts, size
}

// BenchmarkSharedEncode encodes real text record by record, as the packer does. cpu-MB/s counts
// the time of the processor, which other programs do not lengthen.
func BenchmarkSharedEncode(b *testing.B) {
	qwen := qwen2(b).(*bpe)
	llama := qwen2(b).(*bpe) // the same vocabulary by the words of Llama 3
	llama.nfc, llama.splitters = nil, []splitter{splitLlama3}
	for _, c := range []struct {
		name string
		tok  *bpe
	}{{"qwen2", qwen}, {"llama3", llama}} {
		for _, pattern := range []string{"en_*", "zh_*", "en_austen*", "zh_cmrc*"} {
			texts, size := sharedTexts(b, pattern)
			b.Run(c.name+"/"+pattern[:len(pattern)-1], func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var ids []int32
				start := cpuSeconds(b)
				for b.Loop() {
					for _, text := range texts {
						ids = c.tok.Encode(ids[:0], text)
					}
				}
				b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpuSeconds(b)-start), "cpu-MB/s")
			})
		}
	}
}

// cpuSeconds is the processor time of this process.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// BenchmarkSharedPieces is the same for tokenizer.model files: merges, and the search of a unigram.
func BenchmarkSharedPieces(b *testing.B) {
	for _, path := range []string{"llama2/tokenizer.model", "chinese-llama/chinese_sp.model"} {
		tok, err := parseModel(sharedFile(b, "tokenizers", filepath.FromSlash(path)), nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, pattern := range []string{"en_*", "zh_*"} {
			texts, size := sharedTexts(b, pattern)
			b.Run(filepath.Dir(path)+"/"+pattern[:2], func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var ids []int32
				start := cpuSeconds(b)
				for b.Loop() {
					for _, text := range texts {
						ids = tok.Encode(ids[:0], text)
					}
				}
				b.ReportMetric(float64(size)*float64(b.N)/1e6/(cpuSeconds(b)-start), "cpu-MB/s")
			})
		}
	}
}
