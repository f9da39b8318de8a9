package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/banyan-train/banyan/dataset"
	"github.com/banyan-train/banyan/worker/kernel"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

// request is any request; each verb reads its own fields.
type request struct {
	Do      string `json:"do"`
	Threads int    `json:"threads"`
	ISA     string `json:"isa"`
	Repeat  int    `json:"repeat"`
	Reset   bool   `json:"reset"` // memory: the peak counts from here on
	modelSize
	matmulSize
	groupSize

	Tokenizer string   `json:"tokenizer"`
	Files     []string `json:"files"` // of JSON lines, for encode
	corpusPlace
}

type answer map[string]any

// server is the state between requests.
type server struct {
	be       kernel.Backend
	isa      string
	threads  int
	trainer  *trainer
	products map[matmulSize][]kernel.Op
	encoder  *encoder
	member   *member
	stream   *dataset.Config
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	s := &server{products: map[matmulSize][]kernel.Op{}}
	defer s.close()
	lines, enc := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var q request
		err := json.Unmarshal(lines.Bytes(), &q)
		var a answer
		if err == nil {
			a, err = s.serve(&q)
		}
		if err != nil {
			a = answer{"error": err.Error()}
		}
		if err := enc.Encode(a); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return nil
}

var errNoCorpus = errors.New(`no texts: send {"do":"corpus"} first`)

var errNoGroup = errors.New(`no group: send {"do":"listen"}, then {"do":"join"} first`)

var errNoBackend = errors.New(`no backend: send {"do":"open"} first`)

func (s *server) serve(q *request) (answer, error) {
	if q.Do == "memory" {
		return memory(q.Reset)
	}
	if q.Do == "open" {
		return s.open(q)
	}
	repeat := max(q.Repeat, 1)
	switch {
	case q.Do == "corpus":
		return s.corpus(q.Tokenizer, q.Files)
	case q.Do == "encode" && s.encoder != nil:
		return s.encoder.encode(repeat), nil
	case q.Do == "encode":
		return nil, errNoCorpus
	case q.Do == "reader":
		return s.reader(q)
	case q.Do == "read":
		return s.read(repeat)
	case q.Do == "texts":
		return texts(q)
	case s.be == nil:
		return nil, errNoBackend
	}
	switch q.Do {
	case "listen":
		return s.listen()
	case "join", "all_gather", "reduce_scatter", "bare":
		if s.member == nil || q.Do != "join" && s.member.group == nil {
			return nil, errNoGroup
		}
		if q.Do == "join" {
			return s.join(q.groupSize)
		}
		return s.collective(q, repeat)
	case "model":
		return s.model(q.modelSize)
	case "step":
		return s.trainer.steps(repeat)
	case "profile":
		return s.trainer.profile(repeat)
	case "matmul":
		return s.matmul(q.matmulSize, repeat)
	case "probe":
		return s.probe()
	}
	return nil, fmt.Errorf("unknown request %q", q.Do)
}

func (s *server) open(q *request) (answer, error) {
	be, err := cpu.New(cpu.Options{Threads: q.Threads, ISA: q.ISA})
	if err != nil {
		return nil, fmt.Errorf("open backend: %w", err)
	}
	s.close()
	s.be, s.threads = be, q.Threads
	s.isa = strings.TrimPrefix(be.Name(), "cpu/")
	return answer{"isa": s.isa, "classes": cpu.Classes()}, nil
}

func (s *server) model(size modelSize) (answer, error) {
	if s.trainer != nil {
		s.trainer.close()
		s.trainer = nil
	}
	t, err := newTrainer(s.be, size)
	if err != nil {
		return nil, fmt.Errorf("make model: %w", err)
	}
	s.trainer = t
	return answer{"parameters": t.parameters()}, nil
}

func (s *server) close() {
	if s.trainer != nil {
		s.trainer.close()
		s.trainer = nil
	}
	if s.member != nil {
		s.member.close()
		s.member = nil
	}
	if s.be != nil {
		s.be.Close()
		s.be = nil
	}
	clear(s.products)
}
