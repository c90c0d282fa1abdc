package reindex_test

import (
	"testing"
	"time"
)

// A change of the model reads no originals: the database has the text to embed.
func TestModelChangeReadsNoOriginals(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	m.upload(corpusFiles(t, ifShort(12, 100)))
	passages := m.publishedTexts()

	const nowhere = "http://127.0.0.1:1"
	endpoint := m.installation.S3.Endpoint
	m.restart("GRISTMILL_S3_ENDPOINT=" + nowhere)
	m.awaitSuccess(m.begin(toModel(largeModel)).ID)
	wantTexts(t, "another model", m.sentTexts(largeModel), passages)
	m.wantActiveModel(largeModel)

	m.restart("GRISTMILL_S3_ENDPOINT=" + endpoint)
	m.audit(1) // the probe
}
