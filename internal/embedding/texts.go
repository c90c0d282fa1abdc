package embedding

import "github.com/seed-7a112592/gristmill/pkg/document"

// Texts are passages, each of them once, in the order in which they were added
// first. The zero value has none.
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

// Len returns how many there are.
func (t *Texts) Len() int { return len(t.hashes) }

// Truncate leaves the first n of them.
func (t *Texts) Truncate(n int) {
	for _, hash := range t.hashes[n:] {
		delete(t.byHash, hash)
	}
	t.hashes = t.hashes[:n]
}

// keys names the vectors that the order is after.
func (o EnsureRequest) keys() []vectorKey {
	claims := make([]vectorKey, len(o.Texts.hashes))
	for i, hash := range o.Texts.hashes {
		claims[i] = o.key(hash)
	}
	return claims
}

func (o EnsureRequest) key(hash document.ContentHash) vectorKey {
	return vectorKey{o.Tenant, o.Space.Model, hash}
}

// tokensOf returns about how many tokens are embedded of a passage: what stands
// above its content has one for every four bytes.
func (t *Texts) tokensOf(hash document.ContentHash) int {
	text := t.byHash[hash]
	return text.Tokens + (len(text.EmbeddingPrefix())+3)/4
}

// setOf returns the values as a set.
func setOf[T comparable](values []T) map[T]bool {
	set := make(map[T]bool, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}
