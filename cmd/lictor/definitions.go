package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"lictor/catalog"
	"lictor/config"
)

// readDefinitions reads the services of configuration files. Whatever else is in the files must be valid, too, and is
// left alone.
func readDefinitions(files []string) ([]catalog.ServiceDefinition, error) {
	var services []catalog.ServiceDefinition
	for _, file := range files {
		if err := readable(file); err != nil {
			return nil, err
		}
		// The defaults of -dev make a file complete that says nothing of the agent.
		loaded, err := config.Load(config.Options{Paths: []string{file}, Dev: true})
		if err != nil {
			return nil, err
		}
		for _, s := range loaded.Config.Checks.Services {
			services = append(services, *s)
		}
	}
	return services, nil
}

// readable tells in short words why a file cannot be read at all.
func readable(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		if info, _ := os.Stat(file); info != nil && info.IsDir() {
			return nil
		}
		return fmt.Errorf("config: Open failed on %s. %w", file, err)
	}
	if filepath.Ext(file) == ".json" {
		if err := json.Unmarshal(content, new(any)); err != nil {
			return fmt.Errorf("failed to parse %s: %w", file, err)
		}
	}
	return nil
}
