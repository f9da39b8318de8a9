package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"

	pb "github.com/banyan-train/banyan/proto/banyan/v1"
)

func TestRoundTripAndEnd(t *testing.T) {
	var b bytes.Buffer
	for step := range uint64(3) {
		if err := Write(&b, &pb.StepRecord{Step: step}); err != nil {
			t.Fatal(err)
		}
	}
	for step := range uint64(3) {
		var r pb.StepRecord
		if err := Read(&b, &r); err != nil || r.GetStep() != step {
			t.Fatalf("message %d: got %d, %v", step, r.GetStep(), err)
		}
	}
	if err := Read(&b, &pb.StepRecord{}); !errors.Is(err, io.EOF) {
		t.Fatalf("end of stream: %v", err)
	}
}

func TestTruncatedAndOversized(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, &pb.StepRecord{DataDigest: "abcdef"}); err != nil {
		t.Fatal(err)
	}
	short := bytes.NewReader(b.Bytes()[:b.Len()-2])
	if err := Read(short, &pb.StepRecord{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("truncated: %v", err)
	}
	huge := bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff})
	if err := Read(huge, &pb.StepRecord{}); err == nil {
		t.Fatal("a frame of 4 GiB was accepted")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 8})
	f.Fuzz(func(t *testing.T, b []byte) { _ = Read(bytes.NewReader(b), &pb.ToRank{}) })
}
