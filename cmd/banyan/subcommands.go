package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// onlySubcommands makes every command that has commands of its own show its help when given none,
// and refuse an unknown one as a usage error.
func onlySubcommands(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		onlySubcommands(c)
	}
	if !cmd.HasSubCommands() {
		return
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if len(given) == 0 {
			return nil
		}
		hint := fmt.Sprintf("see `%s --help`", cmd.CommandPath())
		if near := cmd.SuggestionsFor(given[0]); len(near) > 0 {
			hint = fmt.Sprintf("did you mean %q?", near[0])
		}
		return fmt.Errorf("%w: unknown command %q for %q; %s", errUsage, given[0], cmd.CommandPath(),
			hint)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}
