package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/banyan-train/banyan/gpu"
	"github.com/banyan-train/banyan/gpu/doctor"
	"github.com/banyan-train/banyan/worker/kernel/cpu"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	var path string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this host has to train on: ISA classes, GPUs and their libraries",
		Long: "Show what this host has to train on: ISA classes, GPUs and their libraries, where they\n" +
			"are, of which version, and what is missing for what. Nothing runs on a GPU.\n\n" +
			"Exits with 0 if the host can train on its CPU.",
		Args: args(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			search := gpu.NewSearch(path)
			if err := search.Check(); err != nil {
				return fmt.Errorf("%w: %w", errInput, err)
			}
			r := doctor.Examine(search,
				doctor.Host{Cores: runtime.NumCPU(), Classes: cpu.Classes()})
			out := cmd.OutOrStdout()
			if asJSON {
				if err := json.NewEncoder(out).Encode(r); err != nil {
					return err
				}
			} else if err := printReport(out, r); err != nil {
				return err
			}
			if !r.CanTrain() {
				return errors.New("this host serves no ISA class: see BANYAN_ISA")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&path, "cuda-path", "",
		"folders to look in first, separated like those of PATH (default $BANYAN_CUDA_PATH)")
	return cmd
}

func printReport(out io.Writer, r doctor.Report) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "cpu\t%d cores\t%s\n", r.CPU.Cores, strings.Join(r.CPU.Classes, ", "))
	for _, d := range r.Devices {
		fmt.Fprintf(w, "gpu %d\t%s\t%s, %.1f GiB, %s %s\n", d.Index, d.Arch, d.Name,
			float64(d.MemoryBytes)/(1<<30), d.UUID, d.Problem)
	}
	for _, l := range r.Libraries {
		version := l.Version
		if version == "" {
			version = "-"
		}
		where := l.Path
		if l.Problem != "" {
			where = strings.TrimSpace(where + " " + l.Problem)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", l.Name, version, where)
	}
	fmt.Fprintln(w)
	for _, n := range r.Needs {
		answer, missing := "yes", ""
		if !n.OK {
			answer, missing = "no", "missing: "+n.Missing
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", n.What, answer, missing)
	}
	return w.Flush()
}
