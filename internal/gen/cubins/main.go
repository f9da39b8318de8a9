package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/kernels"
	"github.com/banyan-train/banyan/gpu/nvrtc"
)

func main() {
	out := flag.String("o", "bin/cubins", "folder to write to")
	list := flag.String("arch", "80,90", "compute capabilities, comma-separated")
	path := flag.String("cuda-path", "", "folders to look for libnvrtc in first")
	flag.Parse()
	if err := run(*out, *list, *path); err != nil {
		fmt.Fprintln(os.Stderr, "cubins:", err)
		os.Exit(1)
	}
}

func run(out, list, path string) error {
	var archs []gpu.Arch
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || gpu.Arch(n) < gpu.MinArch || n > 999 {
			return fmt.Errorf("-arch: %q: want a number from %d, such as 90", s, int(gpu.MinArch))
		}
		archs = append(archs, gpu.Arch(n))
	}
	if flag.NArg() > 0 {
		return errors.New("takes no arguments")
	}
	c, err := nvrtc.Load(gpu.NewSearch(path))
	if err != nil {
		return err
	}
	fmt.Printf("%s, CUDA %s\n", c.Path(), c.Version())
	for _, arch := range archs {
		for _, s := range kernels.Sources() {
			file, err := nvrtc.Write(out, c, s, arch)
			if err != nil {
				return err
			}
			fmt.Println(file)
		}
	}
	return nil
}
