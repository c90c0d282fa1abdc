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

// Get returns the passage of a hash.
func (t *Texts) Get(hash document.Hash) document.Text { return t.of[hash] }

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
		claims[i] = o.claim(hash)
	}
	return claims
}

func (o Order) claim(hash document.Hash) claim { return claim{o.Tenant, o.Space.Model, hash} }

// tokens returns about how many tokens are embedded of a passage: what stands
// above its content has one for every four bytes.
func (t *Texts) tokens(hash document.Hash) int {
	text := t.of[hash]
	return text.Tokens + (len(text.Above())+3)/4
}

// setOf returns the values as a set.
func setOf[T comparable](values []T) map[T]bool {
	set := make(map[T]bool, len(values))
	for _, value := range values {
		set[value] = true
	}
	return set
}
