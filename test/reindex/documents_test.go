package reindex_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/corpus"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// file is a document to upload.
type file struct{ key, text string }

// uploadAndWait uploads a file, waits until searches find it, and returns the id of its document.
func (m *testEnv) uploadAndWait(ctx context.Context, c *client.Client, f file) (uuid.UUID, error) {
	accepted, err := m.uploads.Upload(ctx, c, f.key, f.text)
	if err != nil {
		return uuid.Nil, fmt.Errorf("upload %s: %w", f.key, err)
	}
	job, err := c.AwaitJob(ctx, accepted.Job.ID, 10*time.Second, nil)
	if err == nil && job.State != document.JobSucceeded {
		err = errors.New(string(job.State) + ": " + job.Error)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("job of %s: %w", f.key, err)
	}
	return accepted.Document.ID, nil
}

// corpusFiles returns n files of the corpus, evenly spread over it so that all its languages occur,
// or all files if there are fewer.
func corpusFiles(t *testing.T, n int) []file {
	t.Helper()
	all, err := corpus.Files(corpus.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	n = min(n, len(all))
	files := make([]file, n)
	for i := range files {
		f := all[i*len(all)/n]
		files[i] = file{"corpus/" + f.Key, string(f.Text)}
	}
	return files
}

// question is the query of all searches.
const question = "Who keeps the bell of the drowned abbey, and where does it hang?"

// marksPerFile is the number of passages in a marked file that answer the question.
const marksPerFile = 2

// markedFile returns a document of several passages. The first and the last answer the question and
// name the version. The others are the same in every version. The document's metadata field kind is
// the first part of its key.
func markedFile(key string, version int) file {
	kind, _, _ := strings.Cut(key, "/")
	random := newRandom(key)
	var b strings.Builder
	fmt.Fprintf(&b, "---\nkind: %s\n---\n\n# Notes of %s\n", kind, key)
	mark := func(part int) {
		fmt.Fprintf(&b, "\n## %s\n\n%s: «%s %d %d».\n", question, question, key, version, part)
	}
	mark(0)
	for section := range 4 {
		fmt.Fprintf(&b, "\n## %s %d\n\n%s\n", words[random.IntN(len(words))], section, sentences(random, 12))
	}
	mark(marksPerFile - 1)
	return file{key, b.String()}
}

var markPattern = regexp.MustCompile(`«(\S+) (\d+) (\d+)»`)

// readMark returns the key, the version and the mark number in a passage; false if the passage has
// no mark.
func readMark(passage string) (key string, version, part int, ok bool) {
	found := markPattern.FindStringSubmatch(passage)
	if found == nil {
		return "", 0, 0, false
	}
	version, _ = strconv.Atoi(found[2]) // cannot fail: the pattern matches digits
	part, _ = strconv.Atoi(found[3])
	return found[1], version, part, true
}

// plainFile returns a document with the given number of sections, with length sentences each. Two
// documents never have a passage in common, because a passage is embedded with its headings.
func plainFile(key string, sections, length int) file {
	random := newRandom(key)
	var b strings.Builder
	fmt.Fprintf(&b, "# About %s\n", key)
	for section := range sections {
		fmt.Fprintf(&b, "\n## Section %d\n\n%s\n", section, sentences(random, length))
	}
	return file{key, b.String()}
}

// newRandom returns a random generator with a seed from name.
func newRandom(name string) *rand.Rand {
	var seed [32]byte
	copy(seed[:], name)
	return rand.New(rand.NewChaCha8(seed))
}

// sentences returns n sentences of about a dozen tokens each.
func sentences(random *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		for range 8 {
			b.WriteString(words[random.IntN(len(words))] + " ")
		}
		b.WriteString("turns.\n")
	}
	return b.String()
}

var words = strings.Fields(`grain rye wheat oats barley millet husk bran flour meal mill stone wheel water wind sluice weir race
	sack cart scale hopper sieve dust crust loaf oven hearth peel dough salt yeast crumb Mühle Roggen farine blé мука 小麦 製粉 穀物`)
