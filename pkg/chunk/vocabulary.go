package chunk

import (
	"hash/maphash"
	"math"
)

// vocabulary finds the rank of a token: the pair of the lowest rank is merged
// first. Most of the time that counting takes is looking up strings, and most of
// that is waiting for memory. So there is a hash table with open addressing, and
// before it what fits into a cache of the processor.
type vocabulary struct {
	seed       maphash.Seed
	pairs      [1 << 16]uint32               // ranks of the tokens of two bytes
	filter     [1 << (filterBits - 6)]uint64 // a bit for each hash: of what is no token, most are not set
	slots      [1 << slotBits]slot
	longTokens string // the tokens of more than shortToken bytes, one behind the other
}

const (
	slotBits   = 18 // more than twice as many as there are tokens
	filterBits = 20
	shortToken = 7 // bytes of a token that is its own key
)

// slot holds a token. A key of 0 is none.
type slot struct {
	key    uint64 // in the highest byte the length, below it the bytes of a short token, or a hash
	rank   uint32
	offset uint32 // where a long token begins in long
}

// unranked is the rank of what is no token.
const unranked = math.MaxUint32

func newVocabulary() *vocabulary {
	v := &vocabulary{seed: maphash.MakeSeed()}
	for i := range v.pairs {
		v.pairs[i] = unranked
	}
	codec := newCodec() // keeps what it needs to decode, and goes with it
	var long []byte
	for rank := uint(0); ; rank++ {
		token, err := codec.Decode([]uint{rank})
		if err != nil {
			break // behind the last one
		}
		if len(token) == 2 {
			v.pairs[pairAt(token, 0)] = uint32(rank)
		}
		key := v.key(token, 0, len(token))
		h := mixHash(key)
		v.filter[h>>(64-filterBits+6)] |= 1 << (h >> (64 - filterBits) % 64)
		i := h >> (64 - slotBits)
		for v.slots[i].key != 0 {
			i = (i + 1) % (1 << slotBits)
		}
		v.slots[i] = slot{key, uint32(rank), uint32(len(long))}
		if len(token) > shortToken {
			long = append(long, token...)
		}
	}
	v.longTokens = string(long)
	return v
}

// pairAt returns the two bytes of s from i on as a number.
func pairAt(s string, i int) uint16 { return uint16(s[i]) | uint16(s[i+1])<<8 }

// key returns the key of s[i:j], which has at most 255 bytes: no token has more.
func (v *vocabulary) key(s string, i, j int) uint64 {
	n := j - i
	length := uint64(n) << 56
	switch {
	case n > shortToken:
		return length | maphash.String(v.seed, s[i:j])>>8
	case len(s)-i >= 8:
		s = s[i : i+8]
		word := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		return length | word&(1<<(8*n)-1)
	default:
		var word uint64
		for k := range n {
			word |= uint64(s[i+k]) << (8 * k)
		}
		return length | word
	}
}

// mixHash spreads a key over all bits, of which the highest are used.
func mixHash(key uint64) uint64 {
	key *= 0x9e3779b97f4a7c15
	return (key ^ key>>32) * 0xd6e8feb86659fd93
}

// rank returns the rank of the token s[i:j], or unranked.
func (v *vocabulary) rank(s string, i, j int) uint32 {
	key := v.key(s, i, j)
	h := mixHash(key)
	if v.filter[h>>(64-filterBits+6)]&(1<<(h>>(64-filterBits)%64)) == 0 {
		return unranked
	}
	for at := h >> (64 - slotBits); ; at = (at + 1) % (1 << slotBits) {
		slot := &v.slots[at]
		if slot.key == key && (j-i <= shortToken || v.longTokens[slot.offset:int(slot.offset)+j-i] == s[i:j]) {
			return slot.rank
		}
		if slot.key == 0 {
			return unranked
		}
	}
}

// maxMergedBytes is how many bytes a piece may have that is merged here: what it
// costs grows with the square of them. Few pieces are longer.
const maxMergedBytes = 255

// count returns how many tokens a piece has.
func (v *vocabulary) count(piece string) int {
	switch {
	case piece == "\u007f": // which the pattern does not match
		return 0
	case len(piece) == 1:
		return 1
	case len(piece) > maxMergedBytes:
		return tokenizerCount(piece)
	case v.rank(piece, 0, len(piece)) != unranked:
		return 1
	default:
		return v.countMerged(piece)
	}
}

// countMerged cuts a piece into bytes, merges the leftmost pair of the lowest rank as
// long as there is one, and returns how many parts are left.
func (v *vocabulary) countMerged(piece string) int {
	var (
		starts [maxMergedBytes + 1]uint8  // of the parts, and where the last one ends
		ranks  [maxMergedBytes + 1]uint32 // of a part merged with the next one
	)
	n := len(piece)
	for i := range n {
		starts[i] = uint8(i)
		ranks[i] = unranked
		if i+1 < n {
			ranks[i] = v.pairs[pairAt(piece, i)]
		}
	}
	starts[n] = uint8(n)
	for {
		at, lowest := 0, uint32(unranked)
		for i, rank := range ranks[:n] {
			if rank < lowest {
				at, lowest = i, rank
			}
		}
		if lowest == unranked {
			return n
		}
		copy(starts[at+1:n], starts[at+2:n+1])
		copy(ranks[at+1:n-1], ranks[at+2:n])
		n--
		ranks[at] = unranked
		if at+1 < n {
			ranks[at] = v.rank(piece, int(starts[at]), int(starts[at+2]))
		}
		if at > 0 {
			ranks[at-1] = v.rank(piece, int(starts[at-1]), int(starts[at+1]))
		}
	}
}
