package embedding

import "github.com/seed-7a112592/gristmill/pkg/document"

// Texts is a set of passages in the order in which they were first added. The zero value is empty.
type Texts struct {
	hashes []document.ContentHash
	byHash map[document.ContentHash]document.PassageText
}

// Add adds a passage under its hash.
func (t *Texts) Add(hash document.ContentHash, text document.PassageText) {
	if t.byHash == nil {
		t.byHash = map[document.ContentHash]document.PassageText{}
	}
	if _, there := t.byHash[hash]; !there {
		t.byHash[hash] = text
		t.hashes = append(t.hashes, hash)
	}
}

// Get returns the passage of a hash.
func (t *Texts) Get(hash document.ContentHash) document.PassageText { return t.byHash[hash] }

// Len returns the number of passages.
func (t *Texts) Len() int { return len(t.hashes) }

// Truncate keeps the first n passages.
func (t *Texts) Truncate(n int) {
	for _, hash := range t.hashes[n:] {
		delete(t.byHash, hash)
	}
	t.hashes = t.hashes[:n]
}

// keys returns the keys of the wanted vectors.
func (r EnsureRequest) keys() []vectorKey {
	keys := make([]vectorKey, len(r.Texts.hashes))
	for i, hash := range r.Texts.hashes {
		keys[i] = r.key(hash)
	}
	return keys
}

func (r EnsureRequest) key(hash document.ContentHash) vectorKey {
	return vectorKey{r.Tenant, r.Space.Model, hash}
}

// tokensOf estimates the number of tokens that are embedded for a passage. The headings above its
// content count one token for every four bytes.
func (t *Texts) tokensOf(hash document.ContentHash) int {
	text := t.byHash[hash]
	return text.Tokens + (len(text.EmbeddingPrefix())+3)/4
}

func setOf[T comparable](values []T) map[T]bool {
	set := make(map[T]bool, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}
