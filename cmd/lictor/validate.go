package main

import (
	"context"
	"flag"

	"lictor/config"
)

func newValidate(fs *flag.FlagSet, c *console) runFunc {
	format := fs.String("config-format", "", "The `format` of all files, hcl or json. Default: by the ends of their names.")
	quiet := fs.Bool("quiet", false, "Print errors only.")
	return func(_ context.Context, args []string) error {
		if len(args) == 0 {
			return usagef("Must specify at least one config file or directory")
		}
		loaded, err := config.Load(config.Options{Paths: args, Format: *format})
		if err != nil {
			if explained := explainConfig(err).Error(); explained != err.Error() {
				c.printf("%s\n\n", explained)
			}
			return failf("Config validation failed: %w", err)
		}
		if *quiet {
			return nil
		}
		for _, warning := range loaded.Warnings {
			c.warnf("%s\n", warning)
		}
		for _, n := range loaded.NoEffect {
			c.warnf("%s has no effect in this version: it belongs to %s\n", n.Key, n.Feature)
		}
		c.printf("Configuration is valid!\n")
		return nil
	}
}
