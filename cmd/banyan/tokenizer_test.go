package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/banyan-train/banyan/dataset/tokenize"
)

const exampleTokenizer = "../../examples/tokenizer"

// runTokenizer runs one command of banyan tokenizer.
func runTokenizer(in string, given ...string) (out string, err error) {
	var b strings.Builder
	cmd := root()
	cmd.SetArgs(append([]string{"tokenizer"}, given...))
	cmd.SetIn(strings.NewReader(in))
	cmd.SetOut(&b)
	err = cmd.Execute()
	return b.String(), err
}

func TestEncodeAndDecodeComeBack(t *testing.T) {
	in := `{"text":"The lamp <on> 山上，it's 12\n"}` + "\n" + `{"text":""}` + "\n" +
		`{"lang":"zh","text":"\ud800a"}`
	want := `{"text":"The lamp <on> 山上，it's 12\n"}` + "\n" + `{"text":""}` + "\n" +
		`{"text":"` + "\ufffd" + `a"}` + "\n"
	plain, err := runTokenizer(in, "encode", "--tokenizer", exampleTokenizer)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(plain, `{"ids":[`) || !strings.Contains(plain, "\n"+`{"ids":[]}`+"\n") {
		t.Errorf("encode prints %s", plain)
	}
	ends, err := runTokenizer(in, "encode", "--tokenizer", exampleTokenizer+"/tokenizer.json",
		"--bos", "--eos")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(ends), "\n") {
		var with, without struct{ IDs []int32 }
		if err := errors.Join(json.Unmarshal([]byte(line), &with),
			json.Unmarshal([]byte(strings.Split(plain, "\n")[i]), &without)); err != nil {
			t.Fatal(err)
		}
		if n := len(with.IDs); n != len(without.IDs)+2 || with.IDs[0] == with.IDs[n-1] {
			t.Errorf("line %d: %v with BOS and EOS, %v without", i+1, with.IDs, without.IDs)
		}
	}
	for _, c := range []struct {
		ids  string
		args []string
	}{{plain, nil}, {plain, []string{"--bos", "--eos"}}, {ends, []string{"--bos", "--eos"}}} {
		given := append([]string{"decode", "--tokenizer", exampleTokenizer}, c.args...)
		if got, err := runTokenizer(c.ids, given...); err != nil || got != want {
			t.Errorf("decode %v: %s, %v; want %s", c.args, got, err, want)
		}
	}
}

func TestTokenizerRefuses(t *testing.T) {
	good := `{"text":"a","ids":[5]}` + "\n"
	for _, c := range []struct{ command, in, want string }{
		{"encode", good + `{"txt":"b","n":1}`, `line 2: no field "text", but ["n" "txt"]; write`},
		{"encode", good + `{"TEXT":"b"}`, `line 2: no field "text", but ["TEXT"]`},
		{"encode", good + `{}`, `line 2: no field "text"; write {"text": "..."}`},
		{"encode", good + `{"text":null}`, `line 2: "text" is null, not a string`},
		{"encode", good + `{"text":7}`, `line 2: "text" is the number 7, not a string`},
		{"encode", good + `[1]`, "line 2: want a JSON object, found a list"},
		{"encode", good + `null`, "line 2: want a JSON object, found null"},
		{"encode", good + "\n" + good, "line 2: want a JSON object, the line is empty"},
		{"encode", good + "\ufeff" + good, "line 2: want a JSON object, the line begins with a byte"},
		{"encode", good + `{"text`, "line 2: want a JSON object, the line ends in the middle of it"},
		{"encode", good + `{"text":好}`, "line 2: want a JSON object, byte 9 ('好') is not JSON"},
		{"encode", good + `{"text":"a"} x`, "line 2: want a JSON object, byte 14 ('x') is not JSON"},
		{"encode", good + "{\"text\":\"a\tb\"}", "line 2: want a JSON object, byte 11 ('\\t') is not"},
		{"encode", good + "{\"text\":\"a\xff\"}", "line 2: byte 11 is not UTF-8"},
		{"decode", good + `{"text":"a"}`, `line 2: no field "ids", but ["text"]; write {"ids": [1, 2]}`},
		{"decode", good + `{"ids":[1,4096]}`, "line 2: ids[1] is 4096, outside the vocabulary"},
		{"decode", good + `{"ids":[-1]}`, "line 2: ids[0] is -1"},
		{"decode", good + `{"ids":[1.5]}`, "line 2: ids[0] is the number 1.5, not an id, 0 to 4095"},
		{"decode", good + `{"ids":[1, null]}`, "line 2: ids[1] is null, not an id"},
		{"decode", good + `{"ids":[99999999999]}`, "line 2: ids[0] is the number 99999999999, not"},
		{"decode", good + `{"ids":"5"}`, `line 2: "ids" is a string, not a list; write {"ids": [1, 2]}`},
	} {
		out, err := runTokenizer(c.in, c.command, "--tokenizer", exampleTokenizer)
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: error %v, want %q", c.command, c.in, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "json:") {
			t.Errorf("%s %q: %v is Go's", c.command, c.in, err)
		}
		if strings.Count(out, "\n") != 1 {
			t.Errorf("%s %q: %q printed before the error, want one line", c.command, c.in, out)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "--tokenizer"},
		{[]string{"x", "--tokenizer", exampleTokenizer}, exitUsage, "usage"},
		{[]string{"--tokenizer", "../../examples/nowhere"}, exitFailed, "nowhere"},
		{[]string{"--tokenizer", "../../dataset/tokenize/testdata/gpt2.json", "--bos"}, exitUsage,
			"--bos"},
		{[]string{"--tokenizer", "../../examples/model/config.json"}, exitUsage, "config.json"},
	} {
		_, err := runTokenizer("", append([]string{"encode"}, c.args...)...)
		if err == nil || exitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("encode %v: error %v, want %q and code %d", c.args, err, c.want, c.code)
		}
	}
}

// A cut character is one U+FFFD, as in the peer, not one for each byte.
func TestDecodeCutCharacter(t *testing.T) {
	tok := bytesOnly{}
	answer := decodeLine(tok, nil, nil)
	got, err := answer(nil, []byte(`{"ids":[228,184,97,255,128,240,159,145,60]}`))
	if want := `{"text":"` + "\ufffda\ufffd\ufffd\ufffd<" + `"}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// bytesOnly has a token for each byte.
type bytesOnly struct{ tokenize.Tokenizer }

func (bytesOnly) VocabSize() int { return 256 }

func (bytesOnly) Decode(ids []int32) []byte {
	var out []byte
	for _, id := range ids {
		out = append(out, byte(id))
	}
	return out
}

// A program that waits for each answer before it writes the next line must not wait for ever.
func TestAnswersComeLineByLine(t *testing.T) {
	inRead, inWrite := io.Pipe()
	outRead, outWrite := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- eachLine(inRead, outWrite, func(dst, line []byte) ([]byte, error) {
			return append(append(dst, "re:"...), line...), nil
		})
	}()
	answers := bufio.NewReader(outRead)
	for _, line := range []string{"a\n", "b\n"} {
		if _, err := io.WriteString(inWrite, line); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != "re:"+line {
			t.Fatalf("answer %q, %v", got, err)
		}
	}
	if err := inWrite.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
