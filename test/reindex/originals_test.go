package reindex_test

import (
	"testing"
	"time"
)

// A change of the model needs no originals: what is embedded stands in the
// database.
func TestOriginalsAreNotReadAgain(t *testing.T) {
	t.Parallel()
	m := newMill(t, 10*time.Millisecond)
	m.upload(corpusFiles(t, short(12, 100)))
	passages := m.passages()

	const nowhere = "http://127.0.0.1:1"
	endpoint := m.site.S3.Endpoint
	m.restart("GRISTMILL_S3_ENDPOINT=" + nowhere)
	m.succeed(m.begin(toModel(large)).ID)
	wantTexts(t, "another model", m.sent(large), passages)
	m.wantLive(large)

	m.restart("GRISTMILL_S3_ENDPOINT=" + endpoint)
	m.audit(1) // the probe
}
