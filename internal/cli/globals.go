package cli

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/client"
)

const defaultServer = "http://127.0.0.1:8080"

// globals has the flags of all commands and their dependencies.
type globals struct {
	Deps
	server string
	key    string
	json   bool
}

// client returns a client of the server that the flags or the environment name.
func (g *globals) client() (*client.Client, error) {
	server := cmp.Or(g.server, g.Getenv("GRISTMILL_SERVER"), defaultServer)
	c, err := client.New(server, cmp.Or(g.key, g.Getenv("GRISTMILL_KEY")), nil)
	if err != nil {
		return nil, usageError("%w", err)
	}
	return c, nil
}

// printJSON prints v as one line of JSON.
func (g *globals) printJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(g.Stdout, string(text))
	return err
}
