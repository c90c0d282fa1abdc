package corpus_test

import (
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/test/corpus"
)

// Every reference of a question is a byte range of the corpus: the two settings must name data that
// belong together.
func TestQuestionsReferToTheCorpus(t *testing.T) {
	t.Parallel()
	files, err := corpus.Files(corpus.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{}
	for _, f := range files {
		texts[f.Key] = f.Text
	}
	questions, err := corpus.Questions()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions {
		if q.Question == "" || len(q.References) == 0 {
			t.Errorf("question %q has %d references", q.Question, len(q.References))
		}
		for _, r := range q.References {
			text := texts[r.File]
			if r.Start < 0 || r.Start >= r.End || r.End > len(text) || !utf8.Valid(text[r.Start:r.End]) {
				t.Errorf("%q refers to bytes %d to %d of %s, which is not valid text: the file has %d bytes", q.Question, r.Start, r.End, r.File, len(text))
			}
		}
	}
}

// A setting that names no directory is an error. Find never falls back to the small corpus
// silently.
func TestSettingMustNameADirectory(t *testing.T) {
	t.Setenv("GRISTMILL_TEST_CORPUS", filepath.Join(t.TempDir(), "absent"))
	if dir, err := corpus.Find(); err == nil {
		t.Errorf("found %s", dir)
	}
}
