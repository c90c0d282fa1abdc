package embedding

import "github.com/seed-7a112592/gristmill/pkg/document"

// Texts are passages, each of them once, in the order in which they were added
// first. The zero value has none.
type Texts struct {
	hashes []document.Hash
	of     map[document.Hash]document.Text
}

// Add adds a passage under its hash.
func (t *Texts) Add(hash document.Hash, text document.Text) {
	if t.of == nil {
		t.of = map[document.Hash]document.Text{}
	}
	if _, there := t.of[hash]; !there {
		t.of[hash] = text
		t.hashes = append(t.hashes, hash)
	}
}

// Len returns how many there are.
func (t *Texts) Len() int { return len(t.hashes) }

// Truncate leaves the first n of them.
func (t *Texts) Truncate(n int) {
	for _, hash := range t.hashes[n:] {
		delete(t.of, hash)
	}
	t.hashes = t.hashes[:n]
}

// claims names the vectors that the order is after.
func (o Order) claims() []claim {
	claims := make([]claim, len(o.Texts.hashes))
	for i, hash := range o.Texts.hashes {
		claims[i] = claim{o.Tenant, o.Space.Model, hash}
	}
	return claims
}

// setOf returns the values as a set.
func setOf[T comparable](values []T) map[T]bool {
	set := make(map[T]bool, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}
