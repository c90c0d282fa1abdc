package devmode

import (
	"context"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/upload"
	"github.com/seed-7a112592/gristmill/pkg/client"
)

// ingest uploads the paths to the server, as any client does, and waits for their jobs. It reports
// whether any document failed.
func (o Options) ingest(ctx context.Context, server string) (failed bool, err error) {
	if len(o.Paths) == 0 {
		return false, nil
	}
	files, err := upload.Find(o.Paths)
	if err != nil {
		return false, err
	}
	api, err := client.New(server, o.Config.APIKey, nil)
	if err != nil {
		return false, err
	}
	report, finish := upload.ProgressBar(o.Stderr, len(files), true)
	tally, err := upload.Run(ctx, files, upload.Config{Client: api, Collection: o.Collection, AwaitJobs: true, Report: report})
	finish()
	if err != nil {
		return false, fmt.Errorf("ingest: %w", err)
	}
	if err := tally.Print(o.Stdout); err != nil {
		return false, fmt.Errorf("print the tally: %w", err)
	}
	return len(tally.Failures) > 0, nil
}
