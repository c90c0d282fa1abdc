package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

const (
	syntheticDocuments = 1000
	syntheticSections  = 50  // in a document: each is one passage
	syntheticSentences = 6   // in a section, on average
	keyPrefixes        = 100 // number of key prefixes
	questionEvery      = 10  // one of this many sentences is a question
)

// syntheticCorpus generates documents from the sentences of the corpus. Each document uses
// sentences of one file, with several in each section, so that passages of one subject are near
// each other, but no two passages are equal. Questions are sentences of the same files that are in
// no document.
type syntheticCorpus struct {
	random    *rand.Rand
	sections  int // number of sections written so far
	subjects  []subject
	questions []string
}

// subject is a file of the corpus.
type subject struct {
	name      string
	sentences []string
}

func newSyntheticCorpus(documents []corpusDocument) *syntheticCorpus {
	m := &syntheticCorpus{random: rand.New(rand.NewPCG(3, 4))}
	seen := map[string]bool{}
	for _, d := range documents {
		s := subject{name: d.key}
		for _, sentence := range sentences(d.text) {
			if seen[sentence] {
				continue
			}
			seen[sentence] = true
			if len(seen)%questionEvery == 0 {
				m.questions = append(m.questions, sentence)
			} else {
				s.sentences = append(s.sentences, sentence)
			}
		}
		if len(s.sentences) > 2*syntheticSentences {
			m.subjects = append(m.subjects, s)
		}
	}
	m.random.Shuffle(len(m.questions), func(i, j int) { m.questions[i], m.questions[j] = m.questions[j], m.questions[i] })
	return m
}

// documents returns the documents, with the key prefixes in turn.
func (m *syntheticCorpus) documents() []corpusDocument {
	documents := make([]corpusDocument, syntheticDocuments)
	for i := range documents {
		s := m.subjects[m.random.IntN(len(m.subjects))]
		documents[i] = corpusDocument{fmt.Sprintf("%s%d/%s", keyPrefix(i), i, s.name), m.text(s), ""}
	}
	return documents
}

// keyPrefix returns the key prefix of document i. One document in a hundred has the same prefix.
func keyPrefix(i int) string { return fmt.Sprintf("shelf-%02d/", i%keyPrefixes) }

// text writes the sections of a document.
func (m *syntheticCorpus) text(s subject) []byte {
	var text bytes.Buffer
	for range syntheticSections {
		// A passage is embedded with its headings: the number makes each passage unique, however
		// small the corpus is.
		m.sections++
		fmt.Fprintf(&text, "## %s (%d)\n\n", s.sentences[m.random.IntN(len(s.sentences))], m.sections)
		for range syntheticSentences/2 + m.random.IntN(syntheticSentences+1) {
			text.WriteString(s.sentences[m.random.IntN(len(s.sentences))])
			text.WriteString(" ")
		}
		text.WriteString("\n\n")
	}
	return text.Bytes()
}

var (
	// Matches sentences, but not code, tables, HTML and similar text.
	prose = regexp.MustCompile(`^[\p{Lu}\p{Lo}]`)

	sentenceEnd = regexp.MustCompile(`[.!?]["”’)]?\s+|[。！？]`)
)

// sentences returns the sentences of a markdown document with 40 to 400 bytes.
func sentences(text []byte) []string {
	const shortest, longest = 40, 400
	var found []string
	var paragraph strings.Builder
	finish := func() {
		rest := paragraph.String()
		paragraph.Reset()
		for rest != "" {
			end := len(rest)
			if at := sentenceEnd.FindStringIndex(rest); at != nil {
				end = at[1]
			}
			sentence := strings.TrimSpace(rest[:end])
			rest = rest[end:]
			if prose.MatchString(sentence) && len(sentence) >= shortest && len(sentence) <= longest {
				found = append(found, sentence)
			}
		}
	}
	fenced := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			finish()
			continue
		}
		if fenced || line == "" {
			finish()
			continue
		}
		paragraph.WriteString(line)
		paragraph.WriteString(" ")
	}
	finish()
	return found
}
